// Unpacking layer by layer and stacking them gives the tree that a reference unpacker makes by
// applying them in order.
#include <algorithm>
#include <atomic>
#include <thread>

#include "tests/component/deploy/image/lab.hpp"

namespace holdfast::test {
namespace {

/// Pairs of trees to compare in one process, with what keeps them mounted.
class Pairs {
 public:
  void add(const deploy::image::StoredImage& ours, const std::filesystem::path& reference,
           const std::string& directories = {}) {
    mounts_.push_back(std::make_unique<Mounted>(ours));
    lines_ += mounts_.back()->path().string() + " " + reference.string() + " " + directories + "\n";
  }
  void expect_equal() const {
    os::RunOptions options;
    options.spawn = {.argv = {"python3", "-B", lab_script(), "compare"},
                     .env = {os::kChildPath, "LC_ALL=C.UTF-8"},
                     .fds = {},
                     .directory = {},
                     .new_session = true};
    options.timeout = Milliseconds{120'000};
    options.input = lines_;
    const auto compared = os::run(options);
    ASSERT_TRUE(compared) << compared.error().to_string();
    EXPECT_TRUE(os::succeeded(compared->status)) << compared->out << compared->err;
  }

 private:
  std::vector<std::unique_ptr<Mounted>> mounts_;
  std::string lines_;
};

/// Several at once: most of the time of a small pull is waiting for the disk.
void pull_all(const Lab& lab, TestStore& store,
              const std::vector<std::pair<std::string, std::string>>& todo) {
  std::atomic<std::size_t> next{0};
  std::vector<std::jthread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&] {
      for (std::size_t at = next++; at < todo.size(); at = next++) {
        const auto pulled = store.pull(lab.ref_of(todo[at].second));
        EXPECT_TRUE(pulled) << "seed " << todo[at].first << ": " << pulled.error().to_string();
      }
    });
  }
}

void compare_stacks(const Lab& lab, TestStore& store, int first, int count) {
  const auto dir = *os::TempDir::create("/var/tmp", "holdfast-stacks");
  const auto made = run({"python3", "-B", lab_script(), "random", dir.path().string(), lab.blobs(),
                         std::to_string(first), std::to_string(count)});
  ASSERT_TRUE(made) << made.error().to_string();
  ASSERT_TRUE(os::succeeded(made->status)) << made->err;
  std::istringstream lines{made->out};
  std::vector<std::pair<std::string, std::string>> todo;
  for (std::string seed, digest; lines >> seed >> digest;) todo.emplace_back(seed, digest);
  EXPECT_EQ(todo.size(), static_cast<std::size_t>(count));
  pull_all(lab, store, todo);
  Pairs pairs;
  for (const auto& [seed, digest] : todo) {
    SCOPED_TRACE("seed " + seed);
    const auto image = store.images->find(lab.ref_of(digest).digest);
    ASSERT_TRUE(image) << image.error().to_string();
    pairs.add(*image, dir.path() / seed / "rootfs",
              (dir.path() / (seed + ".directories")).string());
  }
  pairs.expect_equal();
}

/// HOLDFAST_FIRST_STACK and HOLDFAST_STACKS choose other seeds than the gate's.
TEST(Differential, RandomStacksLookAsUmociUnpacksThem) {
  constexpr int kBatch = 50;
  const int stacks = std::atoi(environment("HOLDFAST_STACKS", "300").c_str());
  const int first = std::atoi(environment("HOLDFAST_FIRST_STACK", "1").c_str());
  const Lab lab;
  for (int done = 0; done < stacks; done += kBatch) {
    TestStore store{lab};
    compare_stacks(lab, store, first + done, std::min(kBatch, stacks - done));
  }
}

/// NAME=host/name:tag@digest lines of the registry's env file.
std::map<std::string, std::string> registry_lines() {
  std::ifstream file{environment("HOLDFAST_TEST_RUN", "tests/run") + "/registry/env"};
  std::map<std::string, std::string> out;
  for (std::string line; std::getline(file, line);) {
    const auto equal = line.find('=');
    if (equal != std::string::npos) out[line.substr(0, equal)] = line.substr(equal + 1);
  }
  return out;
}

TEST(Differential, RealImagesLookAsUmociUnpacksThem) {
  const auto images = registry_lines();
  ASSERT_TRUE(images.contains("IMAGES")) << "the test registry does not run";
  const auto dir = *os::TempDir::create("/var/tmp", "holdfast-real");
  proto::RegistryConfig plain;
  plain.plain_http = true;
  TestStore store{{{images.at("REGISTRY"), plain}}};
  Pairs pairs;
  // umoci of Debian 12 knows no zstd: that image is the first with its layers packed otherwise.
  const std::map<std::string, std::string> same{{"WEB_ZSTD_V1", "WEB_V1"}};
  for (const char* name : {"WEB_V1", "WEB_V2", "WEB_V3", "WEB_BAD", "REDIS_V1", "REDIS_V2",
                           "STATIC_V1", "STATIC_V2", "WEB_ZSTD_V1"}) {
    SCOPED_TRACE(name);
    const auto ref = proto::ImageRef::parse(images.at(name));
    ASSERT_TRUE(ref) << ref.error().to_string();
    const auto pulled = store.pull(*ref);
    ASSERT_TRUE(pulled) << pulled.error().to_string();
    const auto twin = same.find(name);
    const auto source =
        proto::ImageRef::parse(images.at(twin == same.end() ? name : twin->second.c_str()));
    const auto rootfs = dir.path() / name;
    const auto unpacked =
        run({"umoci", "raw", "unpack", "--image",
             images.at("IMAGES") + "/" + source->repository + ":" + source->tag, rootfs.string()});
    ASSERT_TRUE(unpacked && os::succeeded(unpacked->status));
    pairs.add(pulled->image, rootfs);
  }
  pairs.expect_equal();
}

}  // namespace
}  // namespace holdfast::test
