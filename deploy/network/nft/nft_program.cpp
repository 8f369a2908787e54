#include "deploy/network/nft/nft_program.hpp"

#include <fmt/format.h>

#include "common/base/text.hpp"
#include "common/os/process.hpp"

namespace holdfast::deploy::network {

Status run_nft(const std::string& text) {
  os::RunOptions options;
  options.spawn.argv = {"nft", "-f", "-"};
  options.spawn.env = {os::kChildPath};
  options.input = text;
  options.timeout = Milliseconds{10'000};
  auto ran = os::run(options);
  if (!ran) {
    const bool missing = ran.error().code() == Errc::not_found;
    return Error{Errc::cni, ran.error().what()}.hint(missing ? "install the package nftables"
                                                             : "run: nft list ruleset");
  }
  if (os::succeeded(ran->status)) return ok();
  constexpr std::size_t kShown = 400;
  return Error{
      Errc::cni,
      fmt::format("nft: {}", printable(trim(std::string_view{ran->err}.substr(0, kShown))))}
      .hint("run: holdfast doctor");
}

}  // namespace holdfast::deploy::network
