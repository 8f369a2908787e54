// Images as files: in by the same way as a pull, out whole, and hostile archives refused.
#include <fcntl.h>
#include <sys/stat.h>

#include "common/os/as_user.hpp"
#include "tests/component/deploy/image/lab.hpp"

namespace holdfast::test {
namespace {

namespace image = deploy::image;

class Archive : public LabTest {
 protected:
  Archive() { store_.images->retain({}); }

  /// An archive of these images, spoilt in a way.
  std::string written(const std::string& kind, const std::vector<std::string>& names) {
    const auto file = (dir_.path() / (kind + ".tar")).string();
    auto script = lab_script();
    script.replace(script.rfind('/') + 1, std::string::npos, "archive_lab.py");
    std::vector<std::string> argv{"python3", script, lab().blobs(), file, kind};
    for (const auto& name : names) argv.push_back(lab().ref(name).digest.str());
    const auto done = run(argv);
    EXPECT_TRUE(done && os::succeeded(done->status)) << (done ? done->err : "");
    return file;
  }
  Result<image::Imported> import(const std::string& file, const std::string& reference = "") {
    auto fd = os::open_file(file, O_RDONLY);
    EXPECT_TRUE(fd);
    return store_.images->import_archive(
        *fd, reference, store_.clock.wall() + std::chrono::hours{1}, "root (uid 0)", {}, {});
  }
  [[nodiscard]] std::vector<image::ImageInfo> all() const { return *store_.images->inventory(); }

  os::TempDir dir_ = *os::TempDir::create("/var/tmp", "holdfast-archive");
  TestStore store_{std::map<std::string, proto::RegistryConfig>{}};  // no registry
};

TEST_F(Archive, EveryCompressionIsTakenWithoutARegistry) {
  const std::string kinds[] = {"good", "dotted"};
  for (const char* name : {"gzip", "zstd", "plain", "index"}) {
    for (const auto& kind : kinds) {
      SCOPED_TRACE(name + (" " + kind));
      const auto done = import(written(kind, {name}));
      ASSERT_TRUE(done) << done.error().to_string();
      ASSERT_EQ(done->images.size(), 1U);
      EXPECT_EQ(done->images.front(), lab().ref(name).digest);
      const auto found = store_.images->find(lab().ref(name).digest);
      ASSERT_TRUE(found) << found.error().to_string();
      EXPECT_EQ(Mounted{*found}.read("etc/passwd"), "changed\n");
    }
  }
  const auto sum = store_.images->verify({}, {}, {}, {});
  ASSERT_TRUE(sum);
  EXPECT_TRUE(sum->damaged.empty());
  EXPECT_EQ(store_.count("ingest"), 0U);
  for (const auto& info : all()) EXPECT_TRUE(info.leased_until);
}

TEST_F(Archive, ManyImagesComeAtOnceAndWhatIsForOtherHostsIsLeft) {
  const auto done = import(written("good", {"gzip", "foreign", "through-symlink"}));
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_EQ(done->images.size(), 2U);
  ASSERT_EQ(done->skipped.size(), 1U);
  EXPECT_NE(done->skipped.front().find("s390x"), std::string::npos);
  const auto foreign = import(written("good", {"foreign"}));
  ASSERT_FALSE(foreign);
  EXPECT_EQ(foreign.error().code(), Errc::platform);
}

TEST_F(Archive, TheNameComesFromTheArchiveOrFromWhoImports) {
  ASSERT_TRUE(import(written("good", {"gzip"})));
  EXPECT_TRUE(all().front().reference.starts_with("registry.example.com/shop/image-0:1.0@sha256:"));
  ASSERT_TRUE(import(written("tag", {"gzip"})));
  EXPECT_TRUE(all().front().reference.starts_with("registry.example.com/shop/image-0:1.0@sha256:"))
      << "an archive without names takes none away";
  TestStore other{std::map<std::string, proto::RegistryConfig>{}};
  std::swap(store_.images, other.images);
  ASSERT_TRUE(import(written("tag", {"gzip"})));
  EXPECT_EQ(all().front().reference, "");
  std::swap(store_.images, other.images);
  TestStore third{std::map<std::string, proto::RegistryConfig>{}};
  std::swap(store_.images, third.images);
  ASSERT_TRUE(import(written("tag", {"gzip"}), "registry.example.com/web:2"));
  EXPECT_TRUE(all().front().reference.starts_with("registry.example.com/web:2@sha256:"));
  std::swap(store_.images, third.images);
}

TEST_F(Archive, HostileAndBrokenArchivesAreRefused) {
  const std::pair<const char*, Errc> cases[] = {
      {"wrong", Errc::digest_mismatch},
      {"wrong-manifest", Errc::digest_mismatch},
      {"short", Errc::size_mismatch},
      {"missing", Errc::not_found},
      {"escape", Errc::layer_unsafe},
      {"absolute", Errc::layer_unsafe},
      {"link", Errc::layer_unsafe},
      {"device", Errc::layer_unsafe},
      {"giant", Errc::too_large},
      {"many", Errc::layer_limit},
      {"no-layout", Errc::usage},
      {"gzip", Errc::usage},
      {"layout-2", Errc::usage},
      {"layout-no-version", Errc::usage},
      {"layout-garbage", Errc::layer_corrupt},
      {"layout-twice", Errc::layer_unsafe},
      {"index-twice", Errc::layer_unsafe},
      {"cut", Errc::layer_corrupt},
      {"not-json", Errc::layer_corrupt},
  };
  for (const auto& [kind, code] : cases) {
    SCOPED_TRACE(kind);
    const auto done = import(written(kind, {"gzip"}));
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code(), code) << done.error().to_string();
    EXPECT_FALSE(std::filesystem::exists("/tmp/holdfast-import-escape"));
    EXPECT_EQ(store_.count("images"), 0U);
    EXPECT_EQ(store_.count("ingest"), 0U);
    ASSERT_TRUE(store_.images->collect({}, {})) << "documents that were right";
  }
  ASSERT_TRUE(import(written("good", {"gzip"}))) << "nothing of them is in the way";
}

TEST_F(Archive, ADirectoryOrAPipeIsNoArchive) {
  for (const char* path : {"/", "/dev/null"}) {
    const auto done = import(path);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code(), Errc::usage) << done.error().to_string();
  }
}

TEST_F(Archive, WhatDockerSaveWritesIsTakenByItsName) {
  // As docker 26.1.5 writes it: plain tars as layers, both annotations, manifest.json and
  // repositories beside them.
  const auto done = import(written("docker-save", {"plain"}));
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_TRUE(all().front().reference.starts_with("registry.example.com/lab/app:2@sha256:"))
      << all().front().reference;
  EXPECT_EQ(Mounted{*store_.images->find(lab().ref("plain").digest)}.read("etc/passwd"),
            "changed\n");
}

/// A store with a registry.
class Export : public Archive {
 protected:
  Result<std::uint64_t> exported(const char* name, const std::string& file) {
    auto fd = os::open_file(file, O_WRONLY | O_CREAT | O_TRUNC);
    EXPECT_TRUE(fd);
    return source_.images->export_archive(lab().ref(name).digest, *fd, {}, {});
  }
  TestStore source_{lab()};
  std::string file_ = (dir_.path() / "out.tar").string();
};

TEST_F(Export, WhatIsWrittenIsTakenElsewhereAndByOtherTools) {
  for (const char* name : {"gzip", "zstd", "index"}) {
    SCOPED_TRACE(name);
    ASSERT_TRUE(source_.pull(lab().ref(name)));
    const auto bytes = exported(name, file_);
    ASSERT_TRUE(bytes) << bytes.error().to_string();
    EXPECT_EQ(*bytes, std::filesystem::file_size(file_));
    const auto done = import(file_);
    ASSERT_TRUE(done) << done.error().to_string();
    EXPECT_EQ(Mounted{*store_.images->find(lab().ref(name).digest)}.read("etc/passwd"),
              "changed\n");
    const auto skopeo = run({"skopeo", "copy", "--insecure-policy", "oci-archive:" + file_,
                             "dir:" + (dir_.path() / (std::string{"dir-"} + name)).string()});
    ASSERT_TRUE(skopeo);
    EXPECT_TRUE(os::succeeded(skopeo->status)) << skopeo->err;
  }
}

TEST_F(Export, TheSameImageGivesTheSameArchive) {
  ASSERT_TRUE(source_.pull(lab().ref("gzip")));
  ASSERT_TRUE(exported("gzip", file_));
  ASSERT_TRUE(exported("gzip", file_ + "2"));
  EXPECT_EQ(*os::read_file(file_), *os::read_file(file_ + "2"));
}

TEST_F(Export, WithoutTheRegistryItSaysWhatIsMissing) {
  ASSERT_TRUE(source_.pull(lab().ref("gzip")));
  proto::RegistryConfig elsewhere;
  elsewhere.plain_http = false;
  source_.reopen({{lab().host(), elsewhere}});
  const auto failed = exported("gzip", file_);
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().next_step(), "") << failed.error().to_string();
  ASSERT_TRUE(import(written("tag", {"gzip"})));
  std::swap(store_.images, source_.images);
  const auto unknown = exported("gzip", file_);
  std::swap(store_.images, source_.images);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code(), Errc::not_found) << unknown.error().to_string();
}

TEST_F(Export, KeptBlobsNeedNoRegistryAndGoWithTheirImage) {
  source_.keep_blobs = true;
  proto::RegistryConfig plain;
  plain.plain_http = true;
  source_.reopen({{lab().host(), plain}});
  source_.images->retain({});
  ASSERT_TRUE(source_.pull(lab().ref("big")));
  ASSERT_TRUE(source_.pull(lab().ref("gzip")));
  proto::RegistryConfig elsewhere;
  source_.reopen({{lab().host(), elsewhere}});
  for (const char* name : {"big", "gzip"}) {
    ASSERT_TRUE(source_.images->collect({lab().ref("big").digest, lab().ref("gzip").digest}, {}));
    const auto bytes = exported(name, file_);
    ASSERT_TRUE(bytes) << name << ": " << bytes.error().to_string();
    ASSERT_TRUE(import(file_)) << name;
  }
  EXPECT_EQ(source_.count("ingest"), 0U);
  // Damage is found while it is read, and what is damaged is not kept.
  std::filesystem::path largest;
  for (const auto& blob :
       std::filesystem::directory_iterator{source_.dir.path() / "blobs/sha256"}) {
    if (largest.empty() || blob.file_size() > std::filesystem::file_size(largest))
      largest = blob.path();
  }
  ASSERT_EQ(truncate(largest.c_str(), 1000), 0);
  const auto damaged = exported("big", file_);
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error().code(), Errc::size_mismatch) << damaged.error().to_string();
  EXPECT_FALSE(std::filesystem::exists(largest));
  ASSERT_TRUE(source_.images->collect({}, {}));
  EXPECT_EQ(source_.count("blobs/sha256"), 0U);
}

TEST_F(Export, FilesAreOpenedWithTheRightsOfWhoAsks) {
  const auto secret = dir_.path() / "secret";
  ASSERT_TRUE(os::write_atomic(secret, "x", 0600));
  ASSERT_EQ(chmod(dir_.path().c_str(), 0755), 0);
  os::UniqueFd fd;
  const auto read = [&]() -> Status {
    HF_ASSIGN(fd, os::open_file(secret, O_RDONLY));
    return ok();
  };
  const auto refused = os::as_user({.uid = 65533, .gid = 65533, .groups = {}}, read);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::perm);
  ASSERT_EQ(chown(secret.c_str(), 0, 65533), 0);
  ASSERT_EQ(chmod(secret.c_str(), 0640), 0);
  EXPECT_TRUE(os::as_user({.uid = 65533, .gid = 1, .groups = {65533}}, read));
  EXPECT_TRUE(read()) << "afterwards they are ours again";
}

}  // namespace
}  // namespace holdfast::test
