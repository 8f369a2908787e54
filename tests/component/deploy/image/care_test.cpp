// The store looked at and looked after: what is kept and why, damage and its repair.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <chrono>
#include <thread>

#include "tests/component/deploy/image/lab.hpp"

namespace holdfast::test {
namespace {

namespace image = deploy::image;
namespace fs = std::filesystem;

class Care : public LabTest {
 protected:
  Care() { store_.images->retain({}); }
  image::StoredImage pulled(const char* name) {
    auto done = store_.pull(lab().ref(name));
    EXPECT_TRUE(done) << (done ? "" : done.error().to_string());
    return done->image;
  }
  image::Verification verify() {
    auto sum = store_.images->verify({}, {}, {}, {});
    EXPECT_TRUE(sum) << (sum ? "" : sum.error().to_string());
    return sum ? *sum : image::Verification{};
  }
  [[nodiscard]] image::ImageInfo info() const {
    const auto all = store_.images->inventory();
    EXPECT_TRUE(all && !all->empty());
    return all->front();
  }
  WallTime in(std::chrono::seconds span) const { return store_.clock.wall() + span; }

  TestStore store_{lab()};
};

TEST_F(Care, WhatWasPulledIsFoundWholeWhateverItsLayersHold) {
  // Hard links, devices as whiteouts, opaque directories, attributes, a layer of lower layers.
  for (const char* name : {"gzip", "zstd", "twice", "empty", "through-symlink"}) pulled(name);
  const auto sum = verify();
  EXPECT_TRUE(sum.damaged.empty());
  EXPECT_EQ(sum.unknown, 0U);
  EXPECT_GT(sum.layers, 8U);
  EXPECT_GT(sum.bytes, 300'000U);
  EXPECT_TRUE(info().verified);
}

/// Every way in which a layer on disk can differ from what was unpacked.
struct Harm {
  const char* name;
  std::function<void(const fs::path& tree)> do_it;
};

TEST_F(Care, EveryChangeOnDiskIsFound) {
  const Harm harms[] = {
      {"a bit",
       [](const fs::path& tree) {
         const os::UniqueFd fd{open((tree / "usr/lib/a").c_str(), O_RDWR)};
         char byte = 0;
         ASSERT_EQ(pread(fd.get(), &byte, 1, 150'000), 1);
         byte = static_cast<char>(byte ^ 4);
         struct stat info {};
         ASSERT_EQ(fstat(fd.get(), &info), 0);
         ASSERT_EQ(pwrite(fd.get(), &byte, 1, 150'000), 1);
         const timespec times[2] = {info.st_atim, info.st_mtim};  // as a disk does it
         ASSERT_EQ(futimens(fd.get(), times), 0);
       }},
      {"a file gone", [](const fs::path& tree) { fs::remove(tree / "gone/x"); }},
      {"a file more",
       [](const fs::path& tree) { ASSERT_TRUE(os::write_atomic(tree / "etc/more", "")); }},
      {"a mode",
       [](const fs::path& tree) { ASSERT_EQ(chmod((tree / "etc/passwd").c_str(), 0666), 0); }},
      {"an owner", [](const fs::path& tree) { ASSERT_EQ(chown((tree / "etc").c_str(), 7, 7), 0); }},
      {"a link",
       [](const fs::path& tree) {
         fs::remove(tree / "lib");
         fs::create_symlink("usr/bin", tree / "lib");
       }},
      {"an attribute",
       [](const fs::path& tree) {
         ASSERT_EQ(setxattr((tree / "cap").c_str(), "user.note", "lost", 4, 0), 0);
       }},
  };
  for (const auto& harm : harms) {
    SCOPED_TRACE(harm.name);
    TestStore store{lab()};
    const auto done = store.pull(lab().ref("gzip"));
    ASSERT_TRUE(done);
    harm.do_it(done->image.lowers.front());
    const auto sum = store.images->verify({}, {}, {}, {});
    ASSERT_TRUE(sum) << sum.error().to_string();
    EXPECT_EQ(sum->damaged.size(), 1U);
    const auto found = store.images->find(lab().ref("gzip").digest);
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code(), Errc::layer_corrupt);
    const auto key = done->image.lowers.front().parent_path().filename().string();
    EXPECT_NE(found.error().what().find(key), std::string::npos) << found.error().what();
  }
}

TEST_F(Care, ADamagedLayerIsExchangedWhileItsMountGoesOn) {
  const auto before = pulled("gzip");
  const Mounted running{before};
  const auto file = before.lowers.front() / "usr/lib/a";
  const auto content = running.read("usr/lib/a");
  ASSERT_EQ(truncate(file.c_str(), 100), 0);
  EXPECT_EQ(verify().damaged.size(), 1U);
  ASSERT_EQ(info().damage.size(), 1U);
  // An instance that was made before the exchange.
  ASSERT_TRUE(os::make_directories(store_.dir.path() / "instances" / "web-1"));
  const auto repaired = store_.pull(lab().ref("gzip"));
  ASSERT_TRUE(repaired) << repaired.error().to_string();
  EXPECT_EQ(repaired->stats.layers_fetched, 1U) << "only the damaged one";
  EXPECT_TRUE(info().damage.empty());
  EXPECT_TRUE(verify().damaged.empty());
  EXPECT_EQ(Mounted{repaired->image}.read("usr/lib/a"), content);
  EXPECT_TRUE(running.exists("etc/passwd")) << "the old mount keeps its files";
  ASSERT_TRUE(store_.images->collect({lab().ref("gzip").digest}, {}));
  EXPECT_EQ(store_.count("replaced"), 1U) << "somebody may have it mounted";
  EXPECT_EQ(running.read("usr/lib/c"), "c");
  fs::remove_all(store_.dir.path() / "instances");
  ASSERT_TRUE(store_.images->collect({lab().ref("gzip").digest}, {}));
  EXPECT_EQ(store_.count("replaced"), 0U);
}

TEST_F(Care, ADamagedDocumentIsFetchedAgain) {
  const auto stored = pulled("index");
  const auto path = store_.dir.path() / "blobs/sha256" / stored.manifest.hex();
  ASSERT_TRUE(os::write_atomic(path, "{}"));
  EXPECT_EQ(verify().damaged.size(), 1U);
  EXPECT_NE(info().damage.front().find(stored.manifest.hex()), std::string::npos);
  const auto repaired = store_.pull(lab().ref("index"));
  ASSERT_TRUE(repaired) << repaired.error().to_string();
  EXPECT_GT(repaired->stats.bytes_fetched, 0U);
  EXPECT_EQ(repaired->stats.layers_fetched, 0U);
  EXPECT_TRUE(verify().damaged.empty());
}

TEST_F(Care, ATopLayerIsVerifiedAndMadeAnew) {
  const auto stored = pulled("gzip");
  ASSERT_EQ(chmod((stored.lowers.back() / "proc").c_str(), 0700), 0);
  EXPECT_EQ(verify().damaged.size(), 1U);
  const auto repaired = store_.pull(lab().ref("gzip"));
  ASSERT_TRUE(repaired) << repaired.error().to_string();
  EXPECT_EQ(repaired->stats.layers_fetched, 0U);
  EXPECT_TRUE(verify().damaged.empty());
}

TEST_F(Care, VerifyingKeepsToItsBudgetAndStopsWithinASecond) {
  pulled("big");  // 4 MiB
  BootTime begin = store_.clock.boot();
  const auto sum = store_.images->verify({}, {.bytes_per_second = 4U << 20}, {}, {});
  ASSERT_TRUE(sum) << sum.error().to_string();
  EXPECT_GE(store_.clock.boot() - begin, Milliseconds{900});
  std::stop_source stop;
  std::jthread stopper{[&] {
    (void)os::sleep_until(store_.clock.boot() + Milliseconds{300}, {});
    stop.request_stop();
  }};
  begin = store_.clock.boot();
  const auto stopped =
      store_.images->verify({}, {.bytes_per_second = 64U << 10}, {}, stop.get_token());
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code(), Errc::cancelled);
  EXPECT_LT(store_.clock.boot() - begin, std::chrono::seconds{2});
  EXPECT_TRUE(info().damage.empty()) << "what was not finished says nothing";
}

TEST_F(Care, TheScrubTakesTheLayerThatWaitedLongestAndGoesOnAfterARestart) {
  pulled("gzip");
  const auto none = store_.images->scrub_one(std::chrono::hours{1}, {}, {});
  ASSERT_TRUE(none) << none.error().to_string();
  EXPECT_FALSE(*none) << "just pulled";
  std::size_t layers = 0;
  for (const auto& each : fs::directory_iterator{store_.dir.path() / "layers"}) {
    const timespec old[2] = {{1000, 0}, {1000, 0}};
    ASSERT_EQ(utimensat(AT_FDCWD, (each.path() / "meta.json").c_str(), old, 0), 0);
    ++layers;
  }
  --layers;  // the form of a layer that its lowers made useless belongs to no image
  for (std::size_t i = 0; i < layers; ++i) {
    if (i == 1) {
      proto::RegistryConfig plain;
      plain.plain_http = true;
      store_.reopen({{lab().host(), plain}});
    }
    const auto one = store_.images->scrub_one(std::chrono::hours{1}, {}, {});
    ASSERT_TRUE(one && *one) << i;
    EXPECT_EQ((*one)->layers, 1U);
  }
  const auto after = store_.images->scrub_one(std::chrono::hours{1}, {}, {});
  ASSERT_TRUE(after);
  EXPECT_FALSE(*after);
}

TEST_F(Care, CollectionSaysWhatGoesAndWhyTheRestStays) {
  pulled("gzip");
  pulled("through-symlink");
  pulled("empty");
  const auto gzip = lab().ref("gzip").digest;
  const auto leased = lab().ref("empty").digest;
  store_.images->retain({{gzip, {"current", "generation 3"}}});
  ASSERT_TRUE(store_.images->lease(leased, in(std::chrono::hours{1}), "root (uid 0)"));
  ASSERT_TRUE(store_.images->lease(leased, in(std::chrono::minutes{1}), "a shorter one"));
  const auto plan = store_.images->plan_collection();
  ASSERT_TRUE(plan) << plan.error().to_string();
  ASSERT_EQ(plan->kept.size(), 2U);
  for (const auto& kept : plan->kept) {
    if (kept.image == gzip)
      EXPECT_EQ(kept.why, (std::vector<std::string>{"current", "generation 3"}));
    else
      EXPECT_NE(kept.why.front().find("lease of root (uid 0) until"), std::string::npos);
  }
  std::uint64_t bytes = 0;
  for (const auto& item : plan->remove) bytes += item.bytes;
  EXPECT_EQ(bytes, plan->bytes);
  EXPECT_TRUE(store_.images->find(lab().ref("through-symlink").digest)) << "a plan takes nothing";
  const auto done = store_.images->collect_unneeded({});
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_EQ(done->bytes, plan->bytes) << "the plan was true";
  EXPECT_EQ(done->remove.size(), plan->remove.size());
  EXPECT_TRUE(store_.images->find(gzip));
  EXPECT_TRUE(store_.images->find(leased));
  EXPECT_FALSE(store_.images->find(lab().ref("through-symlink").digest));
}

TEST_F(Care, ALeaseThatEndedKeepsNothing) {
  pulled("gzip");
  ASSERT_TRUE(store_.images->lease(lab().ref("gzip").digest, in(std::chrono::seconds{-1}), "x"));
  EXPECT_FALSE(info().leased_until);
  ASSERT_TRUE(store_.images->collect_unneeded({}));
  EXPECT_EQ(store_.count("images") + store_.count("leases") + store_.count("layers"), 0U);
}

TEST_F(Care, NothingIsCollectedBeforeTheEngineHasSaidWhatItNeeds) {
  pulled("gzip");
  proto::RegistryConfig plain;
  plain.plain_http = true;
  store_.reopen({{lab().host(), plain}});
  const auto done = store_.images->collect_unneeded({});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), Errc::busy);
  EXPECT_EQ(store_.images->list()->size(), 1U);
}

TEST_F(Care, WhatIsRetainedWhileACollectionRunsIsNotTaken) {
  // A collection that was told an older truth.
  pulled("gzip");
  store_.images->retain({{lab().ref("gzip").digest, {"being applied"}}});
  ASSERT_TRUE(store_.images->collect({}, {}));
  EXPECT_TRUE(store_.images->find(lab().ref("gzip").digest));
}

}  // namespace
}  // namespace holdfast::test
