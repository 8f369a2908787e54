// Pulling whole images from a registry on loopback, and what the store says of them afterwards.
#include <gmock/gmock.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <thread>

#include "tests/component/deploy/image/lab.hpp"

namespace holdfast::test {
namespace {

class ImagePull : public LabTest {};

void expect_the_image(const deploy::image::StoredImage& image) {
  const Mounted root{image};
  EXPECT_EQ(root.read("etc/passwd"), "changed\n");
  EXPECT_EQ(root.read("usr/lib/c"), "c");
  EXPECT_EQ(root.read("usr/lib/through"), "through the symlink");
  EXPECT_FALSE(root.exists("gone"));
  EXPECT_FALSE(root.exists("covered/old"));
  EXPECT_EQ(root.read("covered/new"), "new");
  struct stat info {};
  ASSERT_EQ(lstat((root.path() / "lib").c_str(), &info), 0);
  EXPECT_TRUE(S_ISLNK(info.st_mode)) << "an implicit parent hid the symlink of the lower layer";
  ASSERT_EQ(lstat((root.path() / "usr/lib").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 02775U);
  EXPECT_EQ(info.st_uid, 5U);
  EXPECT_EQ(info.st_mtim.tv_sec, 1234567890);
  EXPECT_EQ(info.st_mtim.tv_nsec, 250000000);
  ASSERT_EQ(lstat((root.path() / "usr/lib/a").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 04755U);
  EXPECT_EQ(info.st_nlink, 2U);
  char value[16] = "";
  EXPECT_EQ(lgetxattr((root.path() / "cap").c_str(), "user.note", value, sizeof value), 4);
  for (const char* mount_point :
       {"proc", "dev", "sys", "run/secrets", "tmp", "etc/hosts", "etc/hostname", "etc/resolv.conf"})
    EXPECT_TRUE(root.exists(mount_point)) << mount_point;
}

TEST_F(ImagePull, EveryCompressionGivesTheSameTree) {
  for (const char* name : {"gzip", "zstd", "plain", "index"}) {
    SCOPED_TRACE(name);
    TestStore store{lab()};
    const auto pulled = store.pull(lab().ref(name));
    ASSERT_TRUE(pulled) << pulled.error().to_string();
    EXPECT_EQ(pulled->stats.layers_fetched, 4U)
        << "three layers, one of them again with its lowers";
    EXPECT_EQ(pulled->image.config.env, std::vector<std::string>{"A=1"});
    expect_the_image(pulled->image);
    EXPECT_EQ(store.count("ingest"), 0U);
    const auto again = store.pull(lab().ref(name));
    ASSERT_TRUE(again) << again.error().to_string();
    EXPECT_EQ(again->stats.bytes_fetched, 0U);
  }
}

TEST_F(ImagePull, AStoreOpenedAnewKnowsItsImagesWithoutTheRegistry) {
  TestStore store{lab()};
  ASSERT_TRUE(store.pull(lab().ref("gzip")));
  store.reopen({});
  const auto found = store.images->find(lab().ref("gzip").digest);
  ASSERT_TRUE(found) << found.error().to_string();
  expect_the_image(*found);
  EXPECT_EQ(store.images->list()->size(), 1U);
}

TEST_F(ImagePull, GzipMembersAndPaddingAreOneStream) {
  TestStore store{lab()};
  const auto pulled = store.pull(lab().ref("members"));
  ASSERT_TRUE(pulled) << pulled.error().to_string();
}

TEST_F(ImagePull, ALayerUsedTwiceStillMounts) {
  for (const char* name : {"twice", "empty"}) {
    TestStore store{lab()};
    const auto pulled = store.pull(lab().ref(name));
    ASSERT_TRUE(pulled) << pulled.error().to_string();
    const Mounted root{pulled->image};
    EXPECT_EQ(root.read("etc/passwd"), "root:x:0:0::/:/bin/sh\n");
  }
}

TEST_F(ImagePull, AnOpaqueRootHidesAllBelowIt) {
  TestStore store{lab()};
  const auto pulled = store.pull(lab().ref("root-opaque"));
  ASSERT_TRUE(pulled) << pulled.error().to_string();
  const Mounted root{pulled->image};
  for (const char* gone : {"old", "later", "d/x"}) EXPECT_FALSE(root.exists(gone)) << gone;
  EXPECT_EQ(root.read("new"), "n");
  EXPECT_TRUE(root.exists("d/y"));
  struct stat info {};
  ASSERT_EQ(stat((root.path() / "d").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0755U) << "a directory of its own";
  ASSERT_EQ(stat(root.path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0711U) << "the marker hides what is in it";
}

TEST_F(ImagePull, WhatAufsLeftBehindIsNoPartOfAnImage) {
  TestStore store{lab()};
  const auto pulled = store.pull(lab().ref("left-over"));
  ASSERT_TRUE(pulled) << pulled.error().to_string();
  const Mounted root{pulled->image};
  for (const char* gone : {".wh..wh.plnk", ".wh..wh.aufs", "a/.wh..wh.orph"})
    EXPECT_FALSE(root.exists(gone)) << gone;
  EXPECT_EQ(root.read("b"), "b");
}

TEST_F(ImagePull, ADirectoryLooksAsTheLastLayerThatNamedItSaid) {
  TestStore store{lab()};
  const auto pulled = store.pull(lab().ref("implicit"));
  ASSERT_TRUE(pulled) << pulled.error().to_string();
  const Mounted root{pulled->image};
  EXPECT_TRUE(root.exists("usr/lib/y"));
  struct stat info {};
  ASSERT_EQ(stat((root.path() / "tmp").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 01777U);
  EXPECT_EQ(info.st_uid, 3U);
  EXPECT_EQ(info.st_gid, 4U);
  ASSERT_EQ(stat((root.path() / "usr/lib").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 02775U);
}

TEST_F(ImagePull, ImagesShareTheirLayers) {
  TestStore store{lab()};
  ASSERT_TRUE(store.pull(lab().ref("gzip")));
  const auto second = store.pull(lab().ref("zstd"));
  ASSERT_TRUE(second) << second.error().to_string();
  EXPECT_EQ(second->stats.layers_fetched, 0U) << "the layers are the same, only packed otherwise";
}

TEST_F(ImagePull, AnImageBeyondMaxSizeIsRefusedBeforeALayerIsFetched) {
  TestStore store{lab()};
  const auto ref = lab().ref("gzip");
  const auto refused = store.images->ensure({ref, Bytes{10}}, {}, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::policy);
  for (const auto& part : {ref.str(), std::string{"policy.images.max_size allows 10"}})
    EXPECT_THAT(refused.error().what(), testing::HasSubstr(part));
  EXPECT_THAT(refused.error().next_step(), testing::HasSubstr("raise max_size"));
  EXPECT_EQ(store.count("layers"), 0U);
  const auto pulled = store.pull(ref);
  ASSERT_TRUE(pulled) << pulled.error().to_string();
  const Bytes size = pulled->image.compressed_size;
  EXPECT_GT(size, Bytes{10});
  EXPECT_TRUE(store.images->ensure({ref, size}, {}, {}));
  const auto too_late = store.images->ensure({ref, Bytes{size.value() - 1}}, {}, {});
  ASSERT_FALSE(too_late) << "what is here is measured too";
  EXPECT_EQ(too_late.error().code(), Errc::policy);
}

TEST_F(ImagePull, TwoPullsOfOneImageAreOneDownload) {
  TestStore store{lab()};
  const auto ref = lab().ref("gzip", "slow");
  std::uint64_t fetched[2] = {0, 0};
  {
    std::vector<std::jthread> threads;
    for (auto& bytes : fetched) {
      threads.emplace_back([&] {
        const auto pulled = store.pull(ref);
        ASSERT_TRUE(pulled) << pulled.error().to_string();
        bytes = pulled->stats.bytes_fetched;
      });
    }
  }
  EXPECT_TRUE((fetched[0] == 0) != (fetched[1] == 0));
}

TEST_F(ImagePull, CollectionKeepsWhatIsNamedAndTakesTheRest) {
  TestStore store{lab()};
  ASSERT_TRUE(store.pull(lab().ref("gzip")));
  ASSERT_TRUE(store.pull(lab().ref("through-symlink")));
  auto collected = store.images->collect({lab().ref("gzip").digest}, {});
  ASSERT_TRUE(collected) << collected.error().to_string();
  EXPECT_EQ(collected->layers, 3U)
      << "the layer, its top, and the form of a layer that its lowers made useless";
  EXPECT_EQ(collected->blobs, 2U);
  EXPECT_FALSE(store.images->find(lab().ref("through-symlink").digest));
  expect_the_image(*store.images->find(lab().ref("gzip").digest));
  ASSERT_TRUE(store.images->collect({}, {}));
  EXPECT_EQ(store.count("layers") + store.count("blobs/sha256") + store.count("images") +
                store.count("ingest"),
            0U);
}

TEST_F(ImagePull, AStopEndsAPullWithinASecondAndLeavesNothing) {
  TestStore store{lab()};
  std::stop_source stop;
  std::jthread stopper{[&] {
    (void)os::sleep_until(store.clock.boot() + Milliseconds{700}, {});
    stop.request_stop();
  }};
  const BootTime before = store.clock.boot();
  const auto pulled = store.pull(lab().ref("gzip", "slow"), stop.get_token());
  ASSERT_FALSE(pulled);
  EXPECT_EQ(pulled.error().code(), Errc::cancelled);
  EXPECT_LT(store.clock.boot() - before, std::chrono::seconds{2});
  EXPECT_EQ(store.count("ingest"), 0U);
  EXPECT_EQ(store.count("images"), 0U);
}

TEST_F(ImagePull, ADamagedStoreIsNoticedByNameAndMendedByAPull) {
  TestStore store{lab()};
  const auto pulled = store.pull(lab().ref("gzip"));
  ASSERT_TRUE(pulled);
  const auto layer = pulled->image.lowers.front().parent_path();
  ASSERT_TRUE(os::remove_tree(layer));
  const auto found = store.images->find(lab().ref("gzip").digest);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code(), Errc::not_found);
  EXPECT_NE(found.error().what().find(layer.filename().string()), std::string::npos);
  const auto mended = store.pull(lab().ref("gzip"));
  ASSERT_TRUE(mended) << mended.error().to_string();
  EXPECT_EQ(mended->stats.layers_fetched, 1U);
}

/// A store on a disk of its own size.
class SmallDisk : public ImagePull {
 protected:
  SmallDisk() {
    EXPECT_EQ(::mount("tmpfs", disk_.path().c_str(), "tmpfs", 0, "size=8m"), 0);
    proto::RegistryConfig plain;
    plain.plain_http = true;
    auto opened = deploy::image::ImageStore::open({.state_dir = disk_.path() / "state",
                                                   .worker_path = worker_path(),
                                                   .registries = {{lab().host(), plain}},
                                                   .clock = clock_,
                                                   .host_files = {{}, {}, {}}});
    EXPECT_TRUE(opened) << opened.error().to_string();
    images_ = *std::move(opened);
  }
  ~SmallDisk() override { umount2(disk_.path().c_str(), MNT_DETACH); }
  Error refused(const char* name) {
    const auto pulled = images_->ensure({lab().ref(name), {}}, {}, {});
    EXPECT_FALSE(pulled);
    EXPECT_TRUE(std::filesystem::is_empty(disk_.path() / "state/ingest"));
    EXPECT_TRUE(std::filesystem::is_empty(disk_.path() / "state/layers"));
    return pulled ? Error{Errc::internal, "not refused"} : pulled.error();
  }
  os::TempDir disk_ = *os::TempDir::create("/var/tmp", "holdfast-disk");
  SystemClock clock_;
  std::unique_ptr<deploy::image::Images> images_;
};

TEST_F(SmallDisk, AnImageThatDoesNotFitIsRefusedBeforeALayerIsFetched) {
  const auto error = refused("big");
  EXPECT_EQ(error.code(), Errc::nospace) << error.to_string();
  EXPECT_NE(error.what().find("needs about"), std::string::npos) << error.to_string();
  EXPECT_NE(error.what().find("available"), std::string::npos) << error.to_string();
  EXPECT_NE(error.next_step(), "");
}

TEST_F(SmallDisk, ALayerThatGrowsBeyondTheDiskEndsAsALackOfSpaceAndLeavesNothing) {
  const auto error = refused("grows");
  EXPECT_EQ(error.code(), Errc::nospace) << error.to_string();
  EXPECT_NE(error.next_step(), "") << error.to_string();
}

}  // namespace
}  // namespace holdfast::test
