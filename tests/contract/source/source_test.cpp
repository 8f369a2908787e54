// What every source of deployments promises (deploy/desired/source.hpp), the one for tests too.
#include "deploy/desired/source.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <filesystem>

#include "common/crypto/sha256.hpp"
#include "common/os/file.hpp"
#include "deploy/desired/file_origin.hpp"
#include "deploy/desired/file_source.hpp"
#include "deploy/desired/signed_source.hpp"
#include "tests/support/fake_source.hpp"
#include "tests/support/signer.hpp"

namespace holdfast::deploy::desired {
namespace {

/// A source, and the hand that changes what it holds. What comes of a text is `given`.
class File {
 public:
  [[nodiscard]] Source& source() { return *source_; }
  [[nodiscard]] static std::string given(const std::string& text) { return text; }
  void publish(const std::string& text) const {
    ASSERT_TRUE(os::write_atomic(path_, text, 0644, os::Durability::lazy));
  }
  void withdraw() const { std::filesystem::remove(path_); }

 private:
  os::TempDir dir_ = *os::TempDir::create("/var/tmp", "holdfast-source");
  std::filesystem::path path_ = dir_.path() / "deployment.yaml";
  std::unique_ptr<Source> source_ = std::move(FileSource::watch(path_)).value();
};

/// Signed documents, each with the next serial.
class SignedFile {
 public:
  [[nodiscard]] Source& source() { return *source_; }
  /// The document of the last publication, which is as long as `text` where that is long.
  [[nodiscard]] std::string given(const std::string&) const { return document_; }
  void publish(const std::string& text) {
    const auto now = clock_.wall();
    document_ = fmt::format(
        "apiVersion: holdfast/v1\nname: shop\nserial: {}\nissued: {}\nexpires: {}\nservices: "
        "{{}}\n# ",
        ++serial_, to_rfc3339(now), to_rfc3339(now + std::chrono::hours{24}));
    document_ += text.size() < document_.size() ? text : text.substr(document_.size());
    ASSERT_TRUE(os::write_atomic(
        path_, test::signed_by({&signer_}, proto::trust::kDeploymentType, document_), 0644,
        os::Durability::lazy));
  }
  void withdraw() const { std::filesystem::remove(path_); }

 private:
  std::unique_ptr<Source> make() {
    const proto::trust::Root root{.deployment = "shop",
                                  .version = 1,
                                  .expires = clock_.wall() + std::chrono::hours{24},
                                  .root = {{signer_.key()}, 1},
                                  .signers = {{signer_.key()}, 1}};
    const auto first = state_.path() / "first.json";
    EXPECT_TRUE(os::write_atomic(
        first, test::signed_by({&signer_}, proto::trust::kRootType, write_root(root))));
    return std::make_unique<SignedSource>(
        SignedSource::Parts{.origin = std::move(FileOrigin::watch(path_)).value(),
                            .state = TrustFile{state_.path() / "trust.json"},
                            .first_root = first,
                            .labels = {},
                            .clock = clock_,
                            .checker = [](std::stop_token) { return test::check_signatures; }});
  }

  SystemClock clock_;
  test::Signer signer_;
  os::TempDir dir_ = *os::TempDir::create("/var/tmp", "holdfast-source");
  os::TempDir state_ = *os::TempDir::create("/var/lib", "holdfast-source");
  std::filesystem::path path_ = dir_.path() / "deployment.json";
  std::unique_ptr<Source> source_ = make();
  std::uint64_t serial_ = 0;
  std::string document_;
};

class Fake {
 public:
  [[nodiscard]] Source& source() { return source_; }
  [[nodiscard]] static std::string given(const std::string& text) { return text; }
  void publish(const std::string& text) { source_.publish(text); }
  void withdraw() { source_.withdraw(); }

 private:
  test::FakeSource source_;
};

template <class Kind>
class SourceContract : public testing::Test {
 protected:
  Result<Candidate> read() { return kind_.source().read({}); }
  /// Whether the source says within 5 s that it is worth reading.
  bool announces() {
    pollfd wait{kind_.source().fd(), POLLIN, 0};
    return ::poll(&wait, 1, 5'000) == 1 && kind_.source().take_changes();
  }
  bool silent() {
    pollfd wait{kind_.source().fd(), POLLIN, 0};
    return ::poll(&wait, 1, 0) == 0;
  }
  Kind kind_;
};

using Kinds = testing::Types<File, SignedFile, Fake>;
TYPED_TEST_SUITE(SourceContract, Kinds);

TYPED_TEST(SourceContract, GivesWhatWasPublishedWithItsDigestItsOriginAndItsTime) {
  const SystemClock clock;
  const auto before = clock.wall();
  this->kind_.publish("one\n");
  const auto read = this->read();
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(read->text, this->kind_.given("one\n"));
  EXPECT_EQ(read->sha256, crypto::sha256_hex(this->kind_.given("one\n")));
  EXPECT_EQ(read->origin, this->kind_.source().origin());
  EXPECT_FALSE(read->origin.empty());
  EXPECT_GE(read->time, before - std::chrono::seconds{2});  // of a file system's clock
  EXPECT_LE(read->time, clock.wall() + std::chrono::seconds{2});
}

TYPED_TEST(SourceContract, IsNotFoundBeforeAnythingWasPublishedAndAfterItWasWithdrawn) {
  EXPECT_EQ(this->read().error().code(), Errc::not_found);
  this->kind_.publish("one");
  ASSERT_TRUE(this->read());
  this->kind_.withdraw();
  EXPECT_EQ(this->read().error().code(), Errc::not_found);
}

TYPED_TEST(SourceContract, AnnouncesEachChangeAndThenIsSilent) {
  EXPECT_TRUE(this->silent());
  for (const auto* text : {"one", "two"}) {
    this->kind_.publish(text);
    EXPECT_TRUE(this->announces());
    while (!this->silent()) (void)this->kind_.source().take_changes();
    EXPECT_EQ(this->read()->text, this->kind_.given(text));
    EXPECT_TRUE(this->silent()) << "a read is no change";
  }
  this->kind_.withdraw();
  EXPECT_TRUE(this->announces());
}

TYPED_TEST(SourceContract, GivesTheSameTwice) {
  this->kind_.publish("one");
  const auto first = this->read();
  const auto second = this->read();
  EXPECT_EQ(first->sha256, second->sha256);
  EXPECT_EQ(first->time, second->time);
}

TYPED_TEST(SourceContract, TakesAMebibyteAndNotAByteMore) {
  this->kind_.publish(std::string(1U << 20, 'a'));
  EXPECT_TRUE(this->read());
  this->kind_.publish(std::string((1U << 20) + 1, 'a'));
  EXPECT_EQ(this->read().error().code(), Errc::too_large);
}

TYPED_TEST(SourceContract, StopsReadingWhenItIsAsked) {
  this->kind_.publish("one");
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(this->kind_.source().read(stop.get_token()).error().code(), Errc::cancelled);
}

}  // namespace
}  // namespace holdfast::deploy::desired
