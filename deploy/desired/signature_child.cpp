#include "deploy/desired/signature_child.hpp"

#include <fmt/format.h>

#include <filesystem>

#include "common/os/process.hpp"
#include "proto/worker/signatures.hpp"

namespace holdfast::deploy::desired {
namespace {

constexpr Milliseconds kPatience{10'000};

Result<std::vector<bool>> ask(const std::string& program, std::string question,
                              const std::stop_token& stop) {
  HF_ASSIGN(const auto run, os::run({.spawn = {.argv = {program, "signatures"},
                                               .env = {os::kChildPath},
                                               .fds = {},
                                               .directory = {},
                                               .new_session = true},
                                     .input = std::move(question),
                                     .timeout = kPatience},
                                    stop));
  if (!run.out.empty()) return proto::worker::decode_signature_answer(run.out);
  return Error{Errc::io,
               fmt::format("{} ended without an answer ({})", program, os::describe(run.status))};
}

}  // namespace

trust::CheckSignatures check_in_child(std::string worker_path, std::stop_token stop) {
  auto program =
      (std::filesystem::path{std::move(worker_path)}.parent_path() / "holdfast-fetch").string();
  return [program = std::move(program), stop = std::move(stop)](
             std::string_view message,
             const std::vector<trust::KeySignature>& claimed) -> Result<std::vector<bool>> {
    proto::worker::SignatureQuestion question{std::string{message}, {}};
    for (const auto& [key, signature] : claimed)
      question.claimed.emplace_back(key.spki(), signature);
    auto valid = ask(program, encode(question), stop);
    if (!valid) return std::move(valid).error().in("check signatures");
    return valid;
  };
}

}  // namespace holdfast::deploy::desired
