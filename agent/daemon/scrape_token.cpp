#include "agent/daemon/scrape_token.hpp"

#include <fmt/format.h>
#include <strings.h>
#include <sys/stat.h>

#include <cerrno>
#include <string_view>

#include "common/base/text.hpp"
#include "common/os/guarded_path.hpp"
#include "common/os/token_file.hpp"

namespace holdfast::agent::daemon {
namespace {

constexpr std::size_t kLeastBytes = 16;  ///< less is guessed
constexpr std::string_view kScheme = "Bearer ";

/// "Bearer TOKEN"; the scheme's case does not count (RFC 9110, 11.1).
std::string_view borne(const std::optional<std::string>& authorization) {
  if (!authorization || authorization->size() <= kScheme.size() ||
      ::strncasecmp(authorization->data(), kScheme.data(), kScheme.size()) != 0)
    return {};
  return trim(std::string_view{*authorization}.substr(kScheme.size()));
}

bool is_same(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned differs = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    differs |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
  return differs == 0;
}

}  // namespace

/// That only root can have put there `read_trusted` has seen; what is looked at here stays so.
Result<std::string> ScrapeToken::read() const {
  HF_ASSIGN(const auto text, os::read_trusted(file_, os::kMostTokenBytes));
  struct stat info {};
  if (::stat(file_.c_str(), &info) != 0) return errno_error(errno, "stat " + file_.string());
  if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0)
    return Error{Errc::perm, fmt::format("others than root may read {}", file_.string())}.hint(
        fmt::format("chmod 600 {}", file_.string()));
  HF_ASSIGN(auto token, os::token_of(text, file_));
  if (token.size() < kLeastBytes)
    return Error{Errc::auth, fmt::format("the token in {} has {} bytes, {} are the least",
                                         file_.string(), token.size(), kLeastBytes)}
        .hint("openssl rand -hex 32");
  return token;
}

Status ScrapeToken::refresh() {
  if (file_.empty()) return ok();
  auto token = read();
  const std::lock_guard lock{mutex_};
  token_ = token ? *token : std::string{};
  if (!token) return std::move(token).error();
  return ok();
}

std::optional<Response> ScrapeToken::refusal(
    const std::optional<std::string>& authorization) const {
  if (file_.empty()) return std::nullopt;
  const std::lock_guard lock{mutex_};
  if (token_.empty()) {
    // What is wrong with the file is no business of who asks over the network.
    auto response = error_response(Error{Errc::auth, "there is no token to compare with"}.hint(
        "on the host, holdfast status says why"));
    response.status = 503;
    return response;
  }
  if (is_same(borne(authorization), token_)) return std::nullopt;
  auto response = error_response(
      Error{Errc::auth, authorization ? "this token is not the one that is wanted"
                                      : "the metrics are given to who bears the token"}
          .hint("send Authorization: Bearer with the token of metrics_token_file; in Prometheus: "
                "authorization.credentials_file"));
  response.status = 401;
  response.authenticate = "Bearer realm=\"holdfast\"";
  return response;
}

}  // namespace holdfast::agent::daemon
