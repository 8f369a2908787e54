#include "deploy/runtime/logs/logs.hpp"

#include "deploy/runtime/logs/log_reader.hpp"
#include "tests/component/deploy/runtime/fixture.hpp"

namespace holdfast::test {
namespace {

using rt::InstanceId;
using ::testing::ElementsAre;

class Logs : public RuntimeTest {
 protected:
  std::vector<std::string> read(const rt::LogQuery& query) {
    std::vector<std::string> out;
    const rt::LogReader reader{paths().logs()};
    const auto done = reader.read(query,
                                  [&](const rt::LogLine& line) {
                                    out.push_back(line.text);
                                    return true;
                                  },
                                  {});
    EXPECT_TRUE(done) << (done ? "" : done.error().to_string());
    return out;
  }
  static rt::LogQuery all() {
    return {
        .service = proto::ServiceName{"web"}, .since = {}, .tail = {}, .follow = rt::Follow::no};
  }
};

TEST_F(Logs, LinesOfBothStreamsComeBackWithTheirOrigin) {
  (void)script("web-1", "echo out; echo err >&2; printf unfinished");
  std::vector<rt::LogLine> lines;
  ASSERT_TRUE(rt::LogReader{paths().logs()}.read(all(),
                                                 [&](const rt::LogLine& line) {
                                                   lines.push_back(line);
                                                   return true;
                                                 },
                                                 {}));
  std::sort(lines.begin(), lines.end(),
            [](const auto& a, const auto& b) { return a.text < b.text; });
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[0].text, "err");
  EXPECT_TRUE(lines[0].is_stderr);
  EXPECT_EQ(lines[1].text, "out");
  EXPECT_FALSE(lines[1].is_stderr);
  EXPECT_EQ(lines[2].text, "unfinished");
  EXPECT_TRUE(lines[2].partial);
  EXPECT_EQ(lines[0].instance.str(), "web-1");
  EXPECT_LT(clock_.wall() - lines[0].time, std::chrono::seconds{30});
}

TEST_F(Logs, RotationLosesNoLineWhileTheServiceWritesOn) {
  log_max_size_ = Bytes{100'000};
  reopen();
  constexpr int kLines = 20'000;
  create(
      spec("web-1", a_service({"/bin/sh", "-c",
                               fmt::format("seq 1 {}; sleep 1; echo end; sleep 1000", kLines)})));
  std::jthread follower;
  std::vector<std::string> followed;
  std::atomic<bool> ended{false};
  follower = std::jthread{[&](const std::stop_token& stop) {
    auto query = all();
    query.follow = rt::Follow::yes;
    (void)rt::LogReader{paths().logs()}.read(
        query,
        [&](const rt::LogLine& line) {
          followed.push_back(line.text);
          return line.text != "end";
        },
        stop);
    ended = true;
  }};
  const auto log = paths().log(proto::ServiceName{"web"}, InstanceId{"web-1"});
  // One rotation in the middle: two halves are kept, so that everything must be there.
  ASSERT_TRUE(eventually([&] {
    std::error_code bad;
    return fs::file_size(log, bad) > 100'000 && !bad;
  }));
  ASSERT_TRUE(runtime_->maintain_logs());
  EXPECT_TRUE(fs::exists(log.string() + ".1"));
  ASSERT_TRUE(eventually([&] { return ended.load(); }));
  follower.join();
  const auto lines = read(all());
  ASSERT_EQ(lines.size(), static_cast<std::size_t>(kLines) + 1);
  EXPECT_EQ(followed, lines);
  for (int i = 0; i < kLines; ++i)
    ASSERT_EQ(lines[static_cast<std::size_t>(i)], std::to_string(i + 1));
  EXPECT_TRUE(fs::exists(log));
}

TEST_F(Logs, OnlyTwoHalvesAreKept) {
  log_max_size_ = Bytes{10'000};
  reopen();
  create(spec("web-1", a_service({"/bin/sh", "-c", "while :; do seq 1 1000; sleep 0.02; done"})));
  const auto log = paths().log(proto::ServiceName{"web"}, InstanceId{"web-1"});
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(eventually([&] {
      std::error_code bad;
      return fs::file_size(log, bad) > 10'000 && !bad;
    }));
    ASSERT_TRUE(runtime_->maintain_logs());
  }
  const auto files = [&] {
    const fs::directory_iterator all_files{log.parent_path()};
    return std::distance(begin(all_files), end(all_files));
  };
  EXPECT_TRUE(eventually([&] { return files() == 2; }));
}

TEST_F(Logs, TailAndSinceAndSeveralInstancesComeInOrderOfTime) {
  (void)script("web-1", "echo 1; sleep 0.05; echo 2");
  const auto between = clock_.wall();
  os::sleep_until(clock_.boot() + Milliseconds{5}, {});
  (void)script("web-2", "echo 3; sleep 0.05; echo 4");
  EXPECT_THAT(read(all()), ElementsAre("1", "2", "3", "4"));
  auto tail = all();
  tail.tail = 3;
  EXPECT_THAT(read(tail), ElementsAre("2", "3", "4"));
  auto since = all();
  since.since = between;
  EXPECT_THAT(read(since), ElementsAre("3", "4"));
}

TEST_F(Logs, TheLogOfARemovedInstanceStaysReadableAndOldOnesGo) {
  for (const char* id : {"web-1", "web-2", "web-3", "web-4", "web-5"}) {
    (void)script(id, fmt::format("echo {}", id));
    ASSERT_TRUE(runtime_->remove(InstanceId{id}, {}));
    const timespec at[2] = {{1'700'000'000 + id[4] * 1000, 0}, {1'700'000'000 + id[4] * 1000, 0}};
    utimensat(AT_FDCWD, paths().log(proto::ServiceName{"web"}, InstanceId{id}).c_str(), at, 0);
  }
  ASSERT_TRUE(rt::prune_logs(paths(), {}, WallTime{std::chrono::seconds{1'700'100'000}}));
  EXPECT_THAT(read(all()), ElementsAre("web-3", "web-4", "web-5"));
  ASSERT_TRUE(rt::prune_logs(paths(), {InstanceId{"web-5"}},
                             WallTime{std::chrono::seconds{1'800'000'000}}));
  EXPECT_THAT(read(all()), ElementsAre("web-5"));
}

TEST_F(Logs, AServiceThatNeverWroteIsNotFound) {
  const auto done = rt::LogReader{paths().logs()}.read(
      {.service = proto::ServiceName{"absent"}, .since = {}, .tail = {}, .follow = rt::Follow::no},
      [](const rt::LogLine&) { return true; }, {});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), Errc::not_found);
}

}  // namespace
}  // namespace holdfast::test
