#include <sys/stat.h>

#include "tests/component/deploy/runtime/fixture.hpp"

namespace holdfast::test {
namespace {

using rt::InstanceId;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class ImageUser : public RuntimeTest {
 protected:
  proto::Service by_image(std::string user) {
    config_.user = std::move(user);
    auto service = a_service({"/bin/sh", "-c", "id; env"});
    service.security.user.reset();
    return service;
  }
  Error refusal(const rt::InstanceSpec& wanted) {
    auto created = runtime_->create(wanted, {});
    if (!created) return std::move(created).error();
    ADD_FAILURE() << "was created";
    return Error{Errc::internal, "was created"};
  }
};

TEST_F(ImageUser, ANameTakesGroupGroupsAndHomeFromTheImage) {
  EXPECT_THAT(output_of("web-1", spec("web-1", by_image("app"))),
              AllOf(HasSubstr("uid=1234"), HasSubstr("gid=1235"), HasSubstr("2000"),
                    HasSubstr("HOME=/home/app")));
}

TEST_F(ImageUser, AnExplicitGroupLeavesTheOthersOut) {
  EXPECT_THAT(output_of("web-1", spec("web-1", by_image("app:extra"))),
              AllOf(HasSubstr("uid=1234"), HasSubstr("gid=2000"), Not(HasSubstr("1235"))));
}

TEST_F(ImageUser, ANumberNeedsNoEntry) {
  EXPECT_THAT(output_of("web-1", spec("web-1", by_image("4711"))),
              AllOf(HasSubstr("uid=4711"), HasSubstr("gid=0"), HasSubstr("HOME=/")));
}

TEST_F(ImageUser, RootOfTheImageIsRefusedUnderHardenedUnlessWrittenOut) {
  for (const char* user : {"", "root", "0", "0:0", "root:app"}) {
    const auto error = refusal(spec("web-1", by_image(user)));
    EXPECT_EQ(error.code(), Errc::user) << user;
    EXPECT_THAT(error.next_step(), HasSubstr("security: {user:")) << user;
  }
  auto service = by_image("");
  service.security.user = "0:0";
  EXPECT_THAT(output_of("web-1", spec("web-1", service)), HasSubstr("uid=0"));
}

TEST_F(ImageUser, NumbersOutOfRangeAreErrorsAndNeverNames) {
  write(image_dir() / "etc/passwd",
        "4294967296:x:0:0::/:/bin/sh\n2147483648:x:0:0::/:/bin/sh\n-1:x:0:0::/:/bin/sh\n");
  for (const char* user : {"4294967296", "2147483648", "99999999999999", "-1", "1:4294967296"})
    EXPECT_EQ(refusal(spec("web-1", by_image(user))).code(), Errc::user) << user;
}

TEST_F(ImageUser, MalformedUsersAreErrors) {
  for (const char* user : {":", "app:", ":app", "a:b:c", "nobody-here", "app:nobody-here"})
    EXPECT_EQ(refusal(spec("web-1", by_image(user))).code(), Errc::user) << user;
}

TEST_F(ImageUser, AHostilePasswdIsRefusedAtOnce) {
  const auto passwd = image_dir() / "etc/passwd";
  const auto refused_quickly = [&](const char* what) {
    const auto before = clock_.boot();
    EXPECT_EQ(refusal(spec("web-1", by_image("app"))).code(), Errc::user) << what;
    EXPECT_LT(clock_.boot() - before, std::chrono::seconds{1}) << what;
    fs::remove(passwd);
  };
  fs::remove(passwd);
  ASSERT_EQ(mkfifo(passwd.c_str(), 0644), 0);
  refused_quickly("FIFO");
  fs::create_symlink("/dev/zero", passwd);
  refused_quickly("symlink to /dev/zero");
  write(passwd, "x");
  fs::resize_file(passwd, std::uintmax_t{1} << 30);
  refused_quickly("1 GiB");
  write(passwd, std::string(100'000, 'x') + ":x:1:1::/:\n");
  refused_quickly("long line");
  fs::create_directory(passwd);
  refused_quickly("directory");
}

TEST_F(ImageUser, APasswdOf10MiBAndLinesOf64KiBAreReadAndNoMore) {
  constexpr std::size_t kFile = 10U << 20;
  constexpr std::size_t kLine = (64U << 10) - 1;
  const auto passwd = image_dir() / "etc/passwd";
  const std::string app = "app:x:1234:1234::/:\n";
  const auto line_of = [](std::size_t size) { return "x:" + std::string(size - 2, 'x') + "\n"; };
  const auto file_of = [&](std::size_t size) {
    std::string text;
    while (text.size() + 1000 + app.size() < size) text += line_of(999);
    return text + std::string(size - text.size() - app.size(), '\n') + app;
  };
  int number = 0;
  const auto with = [&](const std::string& text) {
    write(passwd, text);
    return runtime_->create(spec(fmt::format("web-{}", ++number), by_image("app")), {});
  };
  EXPECT_TRUE(with(line_of(kLine) + app));
  EXPECT_FALSE(with(line_of(kLine + 1) + app));
  EXPECT_TRUE(with(file_of(kFile)));
  EXPECT_FALSE(with(file_of(kFile + 1)));
}

TEST_F(ImageUser, AnAbsoluteLinkIsResolvedInsideTheImage) {
  fs::create_directories(image_dir() / "store");
  fs::rename(image_dir() / "etc/passwd", image_dir() / "store/passwd");
  fs::create_symlink("/store/passwd", image_dir() / "etc/passwd");
  EXPECT_THAT(output_of("web-1", spec("web-1", by_image("app"))), HasSubstr("uid=1234"));
}

TEST_F(ImageUser, MalformedEnvironmentOfTheImageIsRefused) {
  for (const char* entry : {"*", "SECRET", "=x"}) {
    config_.env = {entry};
    const auto error = refusal(spec("web-1", a_service(idle())));
    EXPECT_EQ(error.code(), Errc::runtime) << entry;
    EXPECT_THAT(error.what(), HasSubstr("NAME=value"));
  }
}

TEST_F(ImageUser, TheDocumentsEnvironmentOverridesTheImagesAndNothingOfTheAgentLeaks) {
  setenv("HOLDFAST_TEST_LEAK", "1", 1);
  config_.env = {"A=image", "B=image"};
  auto service = a_service({"/bin/env"});
  service.env = {{"B", "document"}, {"C", "x=y z"}};
  const auto out = output_of("web-1", spec("web-1", service));
  EXPECT_THAT(out, AllOf(HasSubstr("A=image\n"), HasSubstr("B=document\n"), HasSubstr("C=x=y z\n"),
                         HasSubstr("PATH=/usr/local/sbin")));
  EXPECT_THAT(out, AllOf(Not(HasSubstr("LEAK")), Not(HasSubstr("B=image"))));
}

TEST_F(ImageUser, TheWorkingDirectoryIsTheImagesAndNeverBelowProc) {
  config_.working_dir = "/home/app";
  EXPECT_THAT(script("web-1", "pwd; hostname"), HasSubstr("/home/app\nweb\n"));
  for (const char* bad : {"relative", "/proc/self/fd/7", "/x/../proc/1"}) {
    config_.working_dir = bad;
    EXPECT_EQ(refusal(spec("web-2", a_service(idle()))).code(), Errc::runtime) << bad;
  }
}

}  // namespace
}  // namespace holdfast::test
