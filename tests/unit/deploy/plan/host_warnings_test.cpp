#include "deploy/plan/admission/host_warnings.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace holdfast::test {
namespace {

using namespace deploy::plan;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

/// Services "db" (keys in `rest`) and "web".
proto::Deployment two_services(const std::string& rest) {
  const auto text =
      "apiVersion: holdfast/v1\nname: shop\nservices:\n"
      "  db:\n    image: r.io/db@sha256:" +
      std::string(64, '1') + "\n" + rest +
      "  web:\n    image: r.io/web@sha256:" + std::string(64, '2') + "\n    network: host\n";
  auto read = proto::load_deployment(text, "x");
  EXPECT_TRUE(read) << read.error().what();
  return std::move(read).value();
}

HostView with_volume(const proto::Deployment& wanted, std::vector<std::string> paths) {
  HostView host;
  const auto& db = wanted.services.at(ServiceName{"db"});
  host.images[db.image.digest].volumes = std::move(paths);
  return host;
}

TEST(HostWarnings, NameAVolumeOfTheImageThatNothingCoversAndTheLineToWrite) {
  const auto wanted = two_services("    security: {read_only: false}\n");
  EXPECT_THAT(host_warnings(wanted, with_volume(wanted, {"/var/lib/db"})),
              ElementsAre(AllOf(HasSubstr("db: "), HasSubstr("lost with each update"),
                                HasSubstr("volumes: [{source: db-db, target: /var/lib/db}]"))));
}

TEST(HostWarnings, SayThatNothingCanBeWrittenBelowAReadOnlyRoot) {
  const auto wanted = two_services("");
  EXPECT_THAT(
      host_warnings(wanted, with_volume(wanted, {"/data"})),
      ElementsAre(AllOf(HasSubstr("nothing can be written there"), Not(HasSubstr("lost")))));
}

TEST(HostWarnings, AreSilentWhereAVolumeOrATmpfsHoldsThePath) {
  for (const char* covered :
       {"    volumes: [{source: d, target: /var/lib/db}]\n",
        "    volumes: [{source: d, target: /var/lib}]\n", "    tmpfs: [/var/lib/db]\n"}) {
    const auto wanted = two_services(covered);
    EXPECT_THAT(host_warnings(wanted, with_volume(wanted, {"/var/lib/db"})), IsEmpty()) << covered;
  }
  const auto beside = two_services("    volumes: [{source: d, target: /var/lib/d}]\n");
  EXPECT_THAT(host_warnings(beside, with_volume(beside, {"/var/lib/db"})), Not(IsEmpty()));
}

TEST(HostWarnings, ProposeLinesThatAreAccepted) {
  for (const char* path : {"/data", "/Data Files", "/", "/a/b.c"}) {
    const auto bare = two_services("");
    const auto said = host_warnings(bare, with_volume(bare, {path}));
    ASSERT_EQ(said.size(), 1U);
    const auto from = said.front().find("source: ") + 8;
    const auto name = said.front().substr(from, said.front().find(',', from) - from);
    EXPECT_TRUE(proto::load_deployment(
        "apiVersion: holdfast/v1\nname: s\nservices:\n  db:\n"
        "    image: r.io/db@sha256:" +
            std::string(64, '1') + "\n    volumes: [{source: " + name + ", target: /data}]\n",
        "x"))
        << said.front();
  }
}

TEST(HostWarnings, NameTheServicesThatHaveNoNameServer) {
  const auto wanted = two_services("");
  EXPECT_THAT(host_warnings(wanted, {.has_name_server = false, .images = {}}),
              ElementsAre(AllOf(HasSubstr("db: no name server"), Not(HasSubstr("web")))));
  EXPECT_THAT(host_warnings(wanted, {}), IsEmpty());
}

TEST(HostWarnings, NameThePublishedAddressesThatAreNotTheHosts) {
  const auto wanted = proto::load_deployment(
                          "apiVersion: holdfast/v1\nname: s\nservices:\n  web:\n"
                          "    image: r.io/web@sha256:" +
                              std::string(64, '1') +
                              "\n    publish: [\"203.0.113.7:80:8080\", \"127.0.0.1:81:8080\", "
                              "\"192.0.2.1:82:8080\", \"83:8080\"]\n",
                          "x")
                          .value();
  EXPECT_THAT(host_warnings(wanted, {.addresses = {0x7F000001, 0xC0000201}, .images = {}}),
              ElementsAre(HasSubstr("web: 203.0.113.7 is no address of this host now; port 80")));
  EXPECT_THAT(host_warnings(wanted, {}), IsEmpty()) << "where they are not known";
}

}  // namespace
}  // namespace holdfast::test
