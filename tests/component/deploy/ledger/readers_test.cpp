// Readers without a gap do not keep the write-ahead log from beginning anew.
#include "deploy/ledger/readers.hpp"

#include <gmock/gmock.h>

#include <atomic>
#include <thread>
#include <vector>

#include "tests/support/ledger_fixture.hpp"

namespace holdfast::deploy::ledger {
namespace {

namespace fs = std::filesystem;

class ReadersTest : public test::LedgerTest {
 protected:
  /// Verifies without a pause, on four threads, until it is destroyed.
  class Storm {
   public:
    explicit Storm(Readers& readers) {
      for (int i = 0; i < 4; ++i)
        threads_.emplace_back([this, &readers](const std::stop_token& stop) {
          while (!stop.stop_requested()) {
            const auto done = readers.read([&](Reader& reader) {
              const auto found = reader.verify();
              if (!found || !found->intact) ++faults_;
            });
            if (!done) ++faults_;
            ++reads_;
          }
        });
    }
    ~Storm() {
      for (auto& each : threads_) each.request_stop();
    }
    Storm(const Storm&) = delete;
    Storm& operator=(const Storm&) = delete;
    Storm(Storm&&) = delete;
    Storm& operator=(Storm&&) = delete;
    [[nodiscard]] int reads() const { return reads_; }
    [[nodiscard]] int faults() const { return faults_; }

   private:
    std::atomic<int> reads_ = 0;
    std::atomic<int> faults_ = 0;
    std::vector<std::jthread> threads_;
  };
  [[nodiscard]] std::uintmax_t wal() const { return fs::file_size(dir() / "ledger.db-wal"); }
};

TEST_F(ReadersTest, LeaveTheWriteAheadLogBoundedHoweverManyReadWithoutAGap) {
  auto ledger = open();
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(ledger->commit(test::note(std::string(800'000, 'x'))));
  Readers readers{dir()};
  const Storm storm{readers};
  std::uintmax_t most = 0;
  for (int i = 0; i < 32; ++i) {
    ASSERT_TRUE(ledger->commit(test::note(std::string(800'000, 'y'))));
    most = std::max(most, wal());
  }
  EXPECT_GT(storm.reads(), 0);
  EXPECT_EQ(storm.faults(), 0);
  EXPECT_GT(most, kLargeWal) << "nobody was in its way: this shows nothing";
  EXPECT_LT(most, 3 * kLargeWal) << "25 MB were written";
}

}  // namespace
}  // namespace holdfast::deploy::ledger
