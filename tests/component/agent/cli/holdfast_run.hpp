#pragma once
/// \file
/// The program `holdfast` as a test runs it.

#include <gtest/gtest.h>

#include "common/os/environment.hpp"
#include "common/os/file.hpp"
#include "common/os/process.hpp"
#include "tests/component/agent/cli/fake_agent.hpp"

namespace holdfast::test {

/// What a service list looks like in an answer.
inline const char* const kStatus =
    R"({"deployment":"shop","generation":42,"spec_digest":"sha256:4444","state":"converged","services":[
       {"name":"web","image":"shop/web:1","digest":"sha256:4444","state":"running","health":"healthy","restarts":0,"instance":"web-1",
        "pid":77,"address":"10.89.0.2","since":"2026-11-23T09:00:00Z","detail":"","publish":[]}],"drift":[],
       "rollback":{"generation":41,"ready":true,"reason":""},"rollout":null,"message":"","agent_version":"0.1.0",
       "agent_since":"2026-11-01T00:00:00Z"})";

/// One valid document.
inline const char* const kDocument =
    "apiVersion: holdfast/v1\nname: shop\nservices:\n  web:\n"
    "    image: "
    "registry.example.com/shop/"
    "web:1.8.2@sha256:1111111111111111111111111111111111111111111111111111111111111111\n";

class HoldfastTest : public ::testing::Test {
 protected:
  struct Ran {
    int exit = -1;
    std::string out;
    std::string err;
  };

  [[nodiscard]] std::string socket() const { return (scratch_.path() / "s").string(); }
  [[nodiscard]] std::string file(const std::string& name, const std::string& text) const {
    const auto path = scratch_.path() / name;
    EXPECT_TRUE(os::write_atomic(path, text, 0600, os::Durability::lazy));
    return path.string();
  }
  [[nodiscard]] os::SpawnOptions spawn(std::vector<std::string> args) const {
    args.insert(args.begin(), {program(), "--socket", socket()});
    return {
        .argv = std::move(args), .env = {os::kChildPath, "LC_ALL=C.UTF-8"}, .new_session = true};
  }
  [[nodiscard]] Ran holdfast(std::vector<std::string> args, std::string input = {}) const {
    const auto result = os::run({.spawn = spawn(std::move(args)),
                                 .input = std::move(input),
                                 .timeout = Milliseconds{20'000}});
    if (!result) {
      ADD_FAILURE() << result.error().to_string();
      return {};
    }
    const auto* exited = std::get_if<os::Exited>(&result->status);
    return {exited == nullptr ? -1 : exited->code, result->out, result->err};
  }
  [[nodiscard]] static std::string program() {
    return os::environment("HOLDFAST_BIN").value_or("build/bin") + "/holdfast";
  }

  os::TempDir scratch_ = *os::TempDir::create("/tmp", "hf-cli");
};

inline std::string result_event(std::uint64_t generation, const std::string& outcome) {
  std::string quoted;
  for (const char c : outcome)
    if (c != '\n') quoted += c == '"' || c == '\\' ? std::string{'\\', c} : std::string(1, c);
  return R"({"number":9,"time":"2026-11-23T12:00:00Z","kind":"result","generation":)" +
         std::to_string(generation) + R"(,"service":"","message":"","detail":")" + quoted + "\"}";
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace holdfast::test
