#include <arpa/inet.h>
#include <sys/socket.h>

#include "deploy/network/cni_attachments.hpp"
#include "tests/component/deploy/runtime/fixture.hpp"

namespace holdfast::test {
namespace {

using rt::InstanceId;
using ::testing::HasSubstr;

/// With the plugins of the host instead of empty namespaces.
class Network : public RuntimeTest {
 protected:
  void SetUp() override {
    RuntimeTest::SetUp();
    auto attachments =
        deploy::network::CniAttachments::open({.state_dir = paths().state_dir,
                                               .run_dir = paths().run_dir,
                                               .cni_dir = "/usr/lib/cni",
                                               .instance = name_,
                                               .subnet = {.address = 0x0A5B2A00, .prefix = 24},
                                               .conflist = {}});
    if (!attachments) FAIL() << attachments.error().to_string();
    cni_ = std::move(*attachments);
    runtime_.reset();
    auto opened = rt::ContainerRuntime::open({.state_dir = paths().state_dir,
                                              .run_dir = paths().run_dir,
                                              .instance = name_,
                                              .log_writer = log_writer()},
                                             clock_, *cni_);
    if (!opened) FAIL() << opened.error().to_string();
    runtime_ = std::move(*opened);
  }
  static std::string get(deploy::plan::Address address, std::uint16_t port) {
    const os::UniqueFd fd{socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    const timeval limit{.tv_sec = 2, .tv_usec = 0};
    setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(address);
    if (connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) return {};
    if (!os::write_all(fd.get(), "GET /index.html HTTP/1.0\r\n\r\n")) return {};
    std::string out(4096, '\0');
    std::size_t have = 0;
    for (ssize_t got = 0;
         have < out.size() && (got = read(fd.get(), out.data() + have, out.size() - have)) > 0;)
      have += static_cast<std::size_t>(got);
    out.resize(have);
    return out;
  }

  std::unique_ptr<deploy::network::CniAttachments> cni_;
};

TEST_F(Network, AnUnprivilegedServiceOnALowPortAnswersAtItsAddressAlsoAfterARestart) {
  fs::create_symlink("busybox", image_dir() / "bin/httpd");
  write(image_dir() / "www/index.html", "hello from holdfast");
  create(spec("web-1", a_service({"/bin/httpd", "-f", "-p", "80", "-h", "/www"})));
  const auto first = see("web-1");
  EXPECT_TRUE(eventually([&] {
    return get(first.address, 80).find("hello from holdfast") != std::string::npos;
  })) << log_of("web-1");
  kill(first.pid, SIGKILL);
  ASSERT_TRUE(eventually([&] { return see("web-1").exit.has_value(); }));
  ASSERT_TRUE(runtime_->restart(InstanceId{"web-1"}, {}));
  EXPECT_EQ(see("web-1").address, first.address);
  EXPECT_TRUE(eventually(
      [&] { return get(first.address, 80).find("hello from holdfast") != std::string::npos; }));
  ASSERT_TRUE(runtime_->remove(InstanceId{"web-1"}, {}));
  EXPECT_FALSE(cni_->find("web-1")->has_value());
}

}  // namespace
}  // namespace holdfast::test
