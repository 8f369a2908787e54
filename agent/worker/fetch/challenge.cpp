#include "agent/worker/fetch/challenge.hpp"

#include <cctype>

namespace holdfast::agent::worker::fetch {
namespace {

class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  void skip(std::string_view characters) {
    const auto at = rest_.find_first_not_of(characters);
    rest_ = at == std::string_view::npos ? std::string_view{} : rest_.substr(at);
  }
  bool take(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  std::string token() {
    std::size_t size = 0;
    while (size < rest_.size() && is_token(rest_[size])) ++size;
    std::string out{rest_.substr(0, size)};
    rest_.remove_prefix(size);
    return out;
  }
  std::string quoted() {  // after the opening quote
    std::string out;
    while (!rest_.empty() && !take('"')) {
      if (rest_.front() == '\\' && rest_.size() > 1) rest_.remove_prefix(1);
      out.push_back(rest_.front());
      rest_.remove_prefix(1);
    }
    return out;
  }
  [[nodiscard]] bool done() const { return rest_.empty(); }

 private:
  static bool is_token(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::string_view{"!#$%&'*+-.^_`|~/"}.find(c) != std::string_view::npos;
  }
  std::string_view rest_;
};

std::string lower(std::string text) {
  for (auto& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

}  // namespace

std::vector<Challenge> parse_challenges(std::string_view header) {
  std::vector<Challenge> out;
  Scanner scan{header};
  while (true) {
    scan.skip(" \t,");
    std::string word = scan.token();
    if (word.empty()) return out;
    scan.skip(" \t");
    if (!scan.take('=')) {  // a word without a value begins a challenge
      out.push_back({lower(std::move(word)), {}});
      continue;
    }
    scan.skip(" \t");
    std::string value = scan.take('"') ? scan.quoted() : scan.token();
    if (out.empty()) return out;
    out.back().parameters.insert_or_assign(lower(std::move(word)), std::move(value));
  }
}

const Challenge* preferred(const std::vector<Challenge>& challenges) {
  for (const std::string_view scheme : {"bearer", "basic"}) {
    for (const auto& challenge : challenges) {
      if (challenge.scheme == scheme) return &challenge;
    }
  }
  return nullptr;
}

}  // namespace holdfast::agent::worker::fetch
