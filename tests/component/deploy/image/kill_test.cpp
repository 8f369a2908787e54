// Nothing unverified is ever visible, whenever the agent is killed.
#include <sys/wait.h>

#include <array>
#include <csignal>
#include <random>

#include "tests/component/deploy/image/lab.hpp"

namespace holdfast::test {
namespace {

/// Everything in the store is what its name says.
void expect_true_store(const TestStore& store) {
  for (const auto& blob : std::filesystem::directory_iterator{store.dir.path() / "blobs/sha256"}) {
    const auto name = blob.path().filename().string();
    if (name.find('.') != std::string::npos) continue;  // a temporary file of a killed writer
    const auto bytes = os::read_file(blob.path());
    ASSERT_TRUE(bytes);
    EXPECT_EQ(proto::Digest::of(*bytes).hex(), name);
  }
  const auto sum = store.images->verify({}, {}, {}, {});
  ASSERT_TRUE(sum) << sum.error().to_string();
  EXPECT_TRUE(sum->damaged.empty());
  EXPECT_EQ(sum->unknown, 0U);
}

class Kills : public LabTest {
 protected:
  void open() {
    proto::RegistryConfig plain;
    plain.plain_http = true;
    store_.reopen({{lab().host(), plain}});
  }
  TestStore store_{lab()};
};

// "Nothing unverified is ever visible": HOLDFAST_KILL_ROUNDS=200 for the whole of it.
TEST_F(Kills, AtRandomMomentsOfPullsNeverLeaveAnythingUntrue) {
  const int rounds = std::stoi(environment("HOLDFAST_KILL_ROUNDS", "40"));
  std::mt19937 random{20261123};
  int killed = 0;
  int whole = 0;
  for (int round = 0; round < rounds; ++round) {
    const char* name = std::array{"gzip", "zstd", "index", "big"}[random() % 4];
    const auto ref = lab().ref(name);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      open();
      _exit(store_.pull(ref) ? 0 : 1);
    }
    usleep(static_cast<useconds_t>(random() % 250'000));
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    killed += WIFSIGNALED(status) ? 1 : 0;
    // A child that was just being started holds the lock of its work until it is another program.
    for (int i = 0; i < 40; ++i) {
      open();
      if (store_.count("ingest") == 0) break;
      usleep(50'000);
    }
    EXPECT_EQ(store_.count("ingest"), 0U) << "swept";
    expect_true_store(store_);
    const auto found = store_.images->find(ref.digest);
    whole += found ? 1 : 0;
    if (HasFatalFailure() || HasNonfatalFailure()) FAIL() << "round " << round << ", " << name;
    if (round % 4 == 3) {
      store_.images->retain({});
      ASSERT_TRUE(store_.images->collect({}, {}));
    }
  }
  RecordProperty("killed", killed);
  std::printf("%d rounds, %d killed in the middle, %d times the image was whole\n", rounds, killed,
              whole);
  EXPECT_GT(killed, rounds / 4) << "the kills came too late to prove anything";
  const auto pulled = store_.pull(lab().ref("gzip"));
  ASSERT_TRUE(pulled) << pulled.error().to_string();
}

}  // namespace
}  // namespace holdfast::test
