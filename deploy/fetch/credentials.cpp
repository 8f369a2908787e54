#include "deploy/fetch/credentials.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <vector>

#include "common/base/text.hpp"
#include "common/os/file.hpp"
#include "deploy/fetch/credential_helper.hpp"
#include "proto/json/fields.hpp"

namespace holdfast::deploy::fetch {
namespace {

namespace bj = boost::json;
using proto::json::json_object;
using proto::json::string_field;

Error bad_file(const std::filesystem::path& file, std::string_view what) {
  return Error{Errc::auth, fmt::format("credentials file {}: {}", file.string(), what)};
}

Result<std::string> read_checked(const std::filesystem::path& file) {
  HF_ASSIGN(const auto fd, os::open_file(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) return errno_error(errno, "stat " + file.string());
  const bool foreign = info.st_uid != 0 && info.st_uid != geteuid();
  if (!S_ISREG(info.st_mode) || foreign || (info.st_mode & 022U) != 0)
    return Error{
        Errc::perm,
        fmt::format("credentials file {} must be a regular file of root that nobody else can write",
                    file.string())}
        .hint(fmt::format("chown root {0} && chmod 600 {0}", file.string()));
  return os::read_regular_file(fmt::format("/proc/self/fd/{}", fd.get()), 1U << 20);
}

/// Legacy keys carry a scheme and a version: "https://index.docker.io/v1/".
std::string_view normalised(std::string_view key) {
  for (const std::string_view scheme : {"https://", "http://"}) {
    if (key.starts_with(scheme)) key.remove_prefix(scheme.size());
  }
  while (key.ends_with('/')) key.remove_suffix(1);
  for (const std::string_view version : {"/v1", "/v2"}) {
    if (key.ends_with(version)) key.remove_suffix(version.size());
  }
  return key == "index.docker.io" || key == "registry-1.docker.io" ? "docker.io" : key;
}

Result<std::string> decoded(std::string_view text, const std::filesystem::path& file) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string out;
  unsigned bits = 0;
  int have = 0;
  for (const char c : text) {
    const auto value = kAlphabet.find(c);
    if (value == std::string_view::npos) return bad_file(file, "an \"auth\" is not base64");
    bits = (bits << 6U) | static_cast<unsigned>(value);
    have += 6;
    if (have < 8) continue;
    have -= 8;
    out.push_back(static_cast<char>((bits >> static_cast<unsigned>(have)) & 0xFFU));
  }
  while (!out.empty() && out.back() == '\0') out.pop_back();  // docker pads
  return out;
}

Result<Login> login_of(const bj::object& entry, const std::filesystem::path& file) {
  Login login;
  login.identity_token = string_field(entry, "identitytoken");
  if (!login.identity_token.empty()) return login;
  HF_ASSIGN(const std::string pair, decoded(string_field(entry, "auth"), file));
  const auto colon = pair.find(':');
  if (pair.empty()) return login;
  if (colon == std::string::npos) return bad_file(file, "an \"auth\" holds no user:password");
  login.user = pair.substr(0, colon);
  login.password = pair.substr(colon + 1);
  return login;
}

/// The helper that the file names for the host, or for all, or none.
std::string helper_for(const bj::object& object, std::string_view host) {
  const auto* helpers = object.if_contains("credHelpers");
  if (helpers != nullptr && helpers->is_object()) {
    for (const auto& [key, value] : helpers->as_object()) {
      if (normalised(key) == host && value.is_string()) return std::string{value.as_string()};
    }
  }
  return string_field(object, "credsStore");
}

}  // namespace

Result<Login> credentials_for(const std::filesystem::path& file, std::string_view host,
                              std::string_view repository,
                              const std::vector<std::filesystem::path>& helper_directories) {
  HF_ASSIGN(const std::string text, read_checked(file));
  auto object = json_object(text, Errc::auth);
  if (!object) return bad_file(file, object.error().what());
  if (const std::string helper = helper_for(*object, host); !helper.empty()) {
    auto login = ask_helper(helper, host, helper_directories);
    if (!login) return std::move(login).error().in("credentials file " + file.string());
    if (!login->user.empty() || !login->identity_token.empty()) return login;
  }
  const auto* auths = object->if_contains("auths");
  if (auths == nullptr || !auths->is_object()) return Login{};
  // host/ns/image, host/ns, host: the most specific first.
  std::string wanted = fmt::format("{}/{}", host, repository);
  for (;;) {
    for (const auto& [key, value] : auths->as_object()) {
      if (normalised(key) == wanted && value.is_object()) return login_of(value.as_object(), file);
    }
    if (wanted == host) return Login{};
    wanted.resize(wanted.rfind('/'));
  }
}

}  // namespace holdfast::deploy::fetch
