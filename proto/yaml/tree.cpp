#include "proto/yaml/tree.hpp"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <map>
#include <sstream>
#include <utility>

#include "common/base/text.hpp"
#include "proto/yaml/text_check.hpp"

namespace holdfast::proto::yaml {
namespace {

constexpr std::size_t kShown = 80;  ///< characters of foreign text that a message repeats

std::string shown(std::string_view text) {
  return printable(text.substr(0, kShown)) + (text.size() > kShown ? "…" : "");
}

/// Leaves yaml-cpp from inside an event; the reason is already among the findings. Never leaves
/// this file.
struct Abandon {};

Mark place(const YAML::Mark& mark) {
  if (mark.is_null()) return {};
  return {static_cast<std::size_t>(mark.line) + 1, static_cast<std::size_t>(mark.column) + 1};
}

/// Builds our tree from the parser's events: nodes would hide aliases, duplicate keys and further
/// documents.
class Builder final : public YAML::EventHandler {
 public:
  Builder(std::string_view text, Findings& findings) : text_(text), findings_(findings) {}

  std::optional<Node> take() && { return std::move(root_); }
  [[nodiscard]] bool saw_document() const { return documents_ != 0; }
  /// Offset of the last quoted scalar, for the check that it was closed.
  [[nodiscard]] std::optional<std::size_t> last_quoted() const { return last_quoted_; }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ == 1) return;
    findings_.error(place(mark), "only one document per file", "split the file");
    throw Abandon{};
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    refuse_anchor(mark, anchor);
    Node node;
    node.mark = place(mark);
    add(std::move(node));
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    findings_.error(place(mark), "aliases are not allowed", "write the value out");
    drop();
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    refuse_properties(mark, tag, anchor);
    Node node;
    node.kind = Kind::scalar;
    node.style = tag == "?" ? Style::plain : Style::quoted;
    node.mark = place(mark);
    node.text = value;
    if (node.style == Style::quoted) last_quoted_ = offset(mark);
    add(std::move(node));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(Kind::sequence, mark, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(Kind::mapping, mark, tag, anchor);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Frame {
    Node node;
    std::optional<Member> pending;  ///< a key that waits for its value
    bool drop_value = false;        ///< the key was refused
    std::map<std::string, Mark, std::less<>> keys;
  };

  static std::size_t offset(const YAML::Mark& mark) { return static_cast<std::size_t>(mark.pos); }

  void refuse_anchor(const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (anchor != 0) findings_.error(place(mark), "anchors are not allowed", "write the value out");
  }

  /// The parser reports "! x" like "'x'", so the text itself is asked too.
  void refuse_properties(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    refuse_anchor(mark, anchor);
    const bool written = offset(mark) < text_.size() && text_[offset(mark)] == '!';
    if ((tag.empty() || tag == "?" || tag == "!") && !written) return;
    findings_.error(place(mark), fmt::format("tag \"{}\" is not allowed", shown(tag)),
                    "leave the tag out; quote a value to make it a string");
  }

  void open(Kind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    refuse_properties(mark, tag, anchor);
    if (frames_.size() >= static_cast<std::size_t>(kMaxDepth)) {
      findings_.error(place(mark), fmt::format("nested too deeply, the limit is {}", kMaxDepth));
      throw Abandon{};
    }
    Frame frame;
    frame.node.kind = kind;
    frame.node.mark = place(mark);
    frames_.push_back(std::move(frame));
  }

  void close() {
    auto node = std::move(frames_.back().node);
    frames_.pop_back();
    add(std::move(node));
  }

  void add(Node node) {
    if (++nodes_ > kMaxNodes) {
      findings_.error(node.mark, fmt::format("more than {} keys and values", kMaxNodes),
                      "split the document, or move lists into files");
      throw Abandon{};
    }
    if (frames_.empty()) {
      root_ = std::move(node);
      return;
    }
    auto& frame = frames_.back();
    if (frame.node.kind == Kind::sequence) {
      frame.node.items.push_back(std::move(node));
    } else if (!frame.pending) {
      add_key(frame, std::move(node));
    } else {
      add_value(frame, std::move(node));
    }
  }

  /// Leaves out a value that was refused as a whole, so that it is not judged a second time.
  void drop() {
    if (frames_.empty()) return;
    auto& frame = frames_.back();
    if (frame.node.kind == Kind::sequence) return;
    if (frame.pending) {
      frame.pending.reset();
    } else {
      frame.drop_value = true;
      frame.pending.emplace();
    }
  }

  void add_key(Frame& frame, Node node) {
    frame.drop_value = true;
    if (node.kind != Kind::scalar) {
      findings_.error(node.mark, "mapping keys must be plain strings");
    } else if (node.style == Style::plain && node.text == "<<") {
      findings_.error(node.mark, "merge keys are not allowed", "write the keys out");
    } else if (const auto [first, fresh] = frame.keys.emplace(node.text, node.mark); !fresh) {
      findings_.error(node.mark,
                      fmt::format("duplicate key \"{}\" (first at line {})", shown(node.text),
                                  first->second.line),
                      "remove one of them");
    } else {
      frame.drop_value = false;
    }
    frame.pending = Member{std::move(node.text), node.mark, {}};
  }

  static void add_value(Frame& frame, Node node) {
    // The parser places an absent value at the token that follows it; people look at the key.
    if (node.kind == Kind::null) node.mark = frame.pending->mark;
    frame.pending->value = std::move(node);
    if (!frame.drop_value) frame.node.members.push_back(*std::move(frame.pending));
    frame.pending.reset();
  }

  std::string_view text_;
  Findings& findings_;
  std::vector<Frame> frames_;
  std::optional<Node> root_;
  std::optional<std::size_t> last_quoted_;
  int documents_ = 0;
  std::size_t nodes_ = 0;
};

std::string_view line_at(std::string_view text, std::size_t number) {
  for (std::size_t line = 1; line < number; ++line) {
    const auto end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  return text.substr(0, text.find('\n'));
}

bool indented_with_tab(std::string_view line) {
  return line.substr(0, line.find_first_not_of(" \t")).find('\t') != std::string_view::npos;
}

void report_syntax(const YAML::Exception& failure, std::string_view text, Findings& findings) {
  const auto mark = place(failure.mark);
  const bool tab = indented_with_tab(line_at(text, mark.line));
  findings.error(mark, fmt::format("not valid YAML: {}", shown(failure.msg)),
                 tab ? "indent with spaces, not tabs" : "");
}

Mark mark_of(std::string_view text, std::size_t offset) {
  Mark mark;
  for (const char c : text.substr(0, offset))
    mark = c == '\n' ? Mark{mark.line + 1, 1} : Mark{mark.line, mark.column + 1};
  return mark;
}

/// yaml-cpp 0.7 takes the end of the file for the closing quote.
void check_closed(std::string_view text, std::size_t start, Findings& findings) {
  if (start >= text.size() || (text[start] != '"' && text[start] != '\'')) return;
  const char quote = text[start];
  for (std::size_t i = start + 1; i < text.size(); ++i) {
    if (quote == '"' && text[i] == '\\') {
      ++i;
    } else if (text[i] == quote) {
      if (quote == '"' || i + 1 >= text.size() || text[i + 1] != '\'') return;
      ++i;
    }
  }
  findings.error(mark_of(text, start), "this string is never closed",
                 fmt::format("add the closing {}", quote));
}

}  // namespace

std::optional<Node> read(std::string_view text, Findings& findings) {
  if (!check_text(text, findings)) return std::nullopt;
  Builder builder{text, findings};
  try {
    std::istringstream stream{std::string{text}};
    YAML::Parser parser{stream};
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const YAML::Exception& failure) {
    report_syntax(failure, text, findings);
    return std::nullopt;
  } catch (const Abandon&) {
    return std::move(builder).take();        // a second document leaves the first to be checked
  } catch (const std::exception& failure) {  // the parser's own limits, e.g. a mark out of range
    findings.error({}, fmt::format("not valid YAML: {}", shown(failure.what())));
    return std::nullopt;
  }
  if (builder.last_quoted()) check_closed(text, *builder.last_quoted(), findings);
  if (!builder.saw_document()) findings.error({1, 1}, "the document is empty");
  return std::move(builder).take();
}

}  // namespace holdfast::proto::yaml
