// proto/openapi.yaml and the running daemon say the same.
#include <gtest/gtest.h>

#include "common/os/environment.hpp"
#include "tests/support/daemon_fixture.hpp"

namespace holdfast {
namespace {

class OpenApi : public test::DaemonTest {};

TEST_F(OpenApi, DescribesTheRunningDaemon) {
  config_.source.file = dir() / "deployment.yaml";  // which is not there: a source that says so
  start();
  ASSERT_EQ(request("POST", "/v1/apply", test::apply_body("one")).status, 202);
  const auto logs = config_.state_dir / "logs" / "web";
  ASSERT_TRUE(os::make_directories(logs));
  ASSERT_TRUE(os::write_atomic(logs / "web-0a1b2c3d-1.log",
                               "2026-11-23T09:00:00.000000000+00:00 stdout F hello\n"));

  const auto source = os::environment("HOLDFAST_SOURCE").value_or(".");
  os::RunOptions walk;
  walk.spawn.argv = {"/usr/bin/python3", source + "/tests/system/openapi_walk.py",
                     source + "/proto/openapi.yaml", socket().string(),
                     std::to_string(metrics_port_)};
  walk.spawn.env = {os::kChildPath};
  walk.timeout = Milliseconds{60'000};
  const auto done = os::run(walk);
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_TRUE(os::succeeded(done->status)) << done->out << done->err;
}

}  // namespace
}  // namespace holdfast
