// The watched file.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/stat.h>

#include <fstream>

#include "common/base/text.hpp"
#include "tests/support/daemon_fixture.hpp"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using test::document;
using ::testing::HasSubstr;

class Source : public test::DaemonTest {
 protected:
  void SetUp() override {
    DaemonTest::SetUp();
    config_.source.file = dir() / "etc" / "deployment.yaml";
    fs::create_directories(dir() / "etc");
  }
  void write(const std::string& text) const {
    ASSERT_TRUE(os::write_atomic(config_.source.file, text, 0644));
  }
  std::string generation() const {
    const auto body = get("/v1/status").body;
    const auto at = body.find("\"generation\":");
    return at == std::string::npos ? "" : body.substr(at + 13, body.find(',', at) - at - 13);
  }
  bool comes_to(const std::string& wanted) const {
    return eventually([&] { return generation() == wanted; });
  }
  void pause(Milliseconds time) const { (void)os::sleep_until(clock_.boot() + time, {}); }
  SystemClock clock_;
};

TEST_F(Source, IsAppliedAtTheStartAndWhenItChanges) {
  write(document("one"));
  start();
  EXPECT_TRUE(comes_to("1"));
  write(document("two"));
  EXPECT_TRUE(comes_to("2"));
  EXPECT_THAT(get("/v1/history").body, HasSubstr("source " + config_.source.file.string()));
}

TEST_F(Source, MayAppearLaterAlongWithItsDirectory) {
  fs::remove(dir() / "etc");
  start();
  EXPECT_EQ(generation(), "0");
  fs::create_directory(dir() / "etc");
  write(document("one"));
  EXPECT_TRUE(comes_to("1"));
  fs::remove_all(dir() / "etc");
  pause(100ms);
  EXPECT_EQ(generation(), "1") << "a file that is gone takes nothing away";
  fs::create_directory(dir() / "etc");
  write(document("two"));
  EXPECT_TRUE(comes_to("2"));
}

TEST_F(Source, IsReadAndOfferedWhenSomebodyAsks) {
  write(document("one"));
  start();
  ASSERT_TRUE(comes_to("1"));
  ASSERT_EQ(request("POST", "/v1/apply", test::apply_body("two")).status, 202);
  ASSERT_TRUE(comes_to("2"));
  const auto answer = request("POST", "/v1/source/sync", "");
  EXPECT_EQ(answer.status, 200);
  EXPECT_THAT(answer.body, HasSubstr("\"state\":\"current\""));
  EXPECT_THAT(get("/v1/status").body,
              HasSubstr("\"source\":{\"source\":\"" + config_.source.file.string()));
  fs::remove(config_.source.file);
  EXPECT_THAT(request("POST", "/v1/source/sync", "").body, HasSubstr("E_NOT_FOUND"));
}

TEST_F(Source, ThatIsNotConfiguredCannotBeAsked) {
  config_.source = {};
  start();
  EXPECT_EQ(request("POST", "/v1/source/sync", "").status, 404);
  EXPECT_THAT(get("/v1/status").body, HasSubstr("\"source\":null"));
}

TEST_F(Source, MayBeWrittenInPlace) {
  write(document("one"));
  start();
  ASSERT_TRUE(comes_to("1"));
  std::ofstream{config_.source.file, std::ios::trunc} << document("two");
  EXPECT_TRUE(comes_to("2"));
}

TEST_F(Source, DoesNotUndoAnApplyNeitherByATouchNorByARestart) {
  write(document("one"));
  start();
  ASSERT_TRUE(comes_to("1"));
  ASSERT_EQ(request("POST", "/v1/apply", test::apply_body("by hand")).status, 202);
  write(document("one"));
  pause(200ms);
  EXPECT_EQ(generation(), "2");
  ASSERT_TRUE(eventually([this] { return fs::exists(config_.state_dir / "source"); }) ||
              eventually([this] { return fs::exists(config_.state_dir / "source"); }));
  signal(SIGTERM);
  ASSERT_EQ(wait(), 0);
  start();
  pause(200ms);
  EXPECT_EQ(generation(), "0") << "the fake engine forgets, and the file did not change";
  write(document("three"));
  EXPECT_TRUE(eventually(
      [this] { return log().rfind("event=source_changed") > log().rfind("event=ready"); }));
}

TEST_F(Source, WaitsWhileARollOutIsUnderWay) {
  start();
  ASSERT_EQ(request("POST", "/v1/apply", test::apply_body("one", "start a rollout")).status, 202);
  write(document("two"));
  pause(700ms);
  EXPECT_EQ(generation(), "1");
  ASSERT_EQ(request("POST", "/v1/apply", test::apply_body("other")).status,
            202);  // ends the rollout
  EXPECT_TRUE(comes_to("3")) << log();
}

TEST_F(Source, ThatOthersMayWriteIsRefused) {
  write(document("one"));
  ASSERT_EQ(::chmod(config_.source.file.c_str(), 0666), 0);
  start();
  EXPECT_TRUE(
      eventually([this] { return log().find("can be written by others") != std::string::npos; }));
  EXPECT_EQ(generation(), "0");
  ASSERT_EQ(::chmod(config_.source.file.c_str(), 0644), 0);
  EXPECT_TRUE(comes_to("1")) << "a change of mode is a change";
}

TEST_F(Source, ThatIsBrokenKeepsWhatRuns) {
  write(document("one"));
  start();
  ASSERT_TRUE(comes_to("1"));
  write("<html>captive portal</html>");
  EXPECT_TRUE(eventually(
      [this] { return get("/v1/events?kind=refused").body.find("refused") != std::string::npos; }));
  EXPECT_EQ(generation(), "1");
}

}  // namespace
}  // namespace holdfast
