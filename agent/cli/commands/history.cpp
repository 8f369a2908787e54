// history, show, diff: what was so.
#include "agent/cli/commands/history.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "agent/cli/commands/document.hpp"
#include "agent/cli/commands/register.hpp"
#include "agent/cli/commands/status.hpp"
#include "agent/cli/render/views.hpp"
#include "common/base/text.hpp"
#include "proto/api/codec.hpp"
#include "proto/json/writer.hpp"

namespace holdfast::agent::cli {
namespace {

namespace api = proto::api;

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

Result<std::uint64_t> current_generation(const Context& context) {
  HF_ASSIGN(const auto status, context.agent.call<"status">());
  if (status.value.generation == 0)
    return Error{Errc::not_found, "there is no current generation yet"}.hint("holdfast apply FILE");
  return status.value.generation;
}

ExitCode show_generation(const Context& context, const ShowOptions& options) {
  auto number = options.what.empty() ? current_generation(context) : parse_number(options.what);
  if (!number) return report(context, number.error());
  const auto record = context.agent.call<"generation">({}, {.argument = std::to_string(*number)});
  if (!record) return report(context, record.error());
  if (options.document) {
    print(record->value.document);
    return ExitCode::done;
  }
  if (context.json()) return print_json(context, record->body);
  print(generation_view(record->value, context.out, context.clock.wall()));
  return ExitCode::done;
}

/// One side of a comparison.
struct Side {
  std::string name;
  std::string canonical;
};

Result<Side> generation_side(const Context& context, std::uint64_t number) {
  HF_ASSIGN(auto record,
            context.agent.call<"generation">({}, {.argument = std::to_string(number)}));
  auto name = fmt::format("generation {}", number);
  if (!record.value.canonical.empty())
    return Side{std::move(name), std::move(record.value.canonical)};
  HF_ASSIGN(auto deployment, proto::load_deployment(record.value.document, name));
  return Side{std::move(name), std::move(deployment.canonical_json)};
}

Result<Side> side(const Context& context, const std::string& what) {
  if (is_number(what)) {
    HF_ASSIGN(const auto number, parse_number(what));
    return generation_side(context, number);
  }
  HF_ASSIGN(const auto document, read_document(what));
  auto checked = check_document(context, document);
  if (!checked.deployment) return Error{Errc::spec_parse, {}};
  return Side{document.name, std::move(checked.deployment->canonical_json)};
}

struct Sides {
  Side before;
  Side after;
};

/// One argument is compared with the current generation: a file as what would come, a generation as
/// what was.
Result<Sides> both_sides(const Context& context, const std::vector<std::string>& given) {
  if (given.size() == 2) {
    HF_ASSIGN(auto before, side(context, given[0]));
    HF_ASSIGN(auto after, side(context, given[1]));
    return Sides{std::move(before), std::move(after)};
  }
  HF_ASSIGN(auto one, side(context, given.front()));
  HF_ASSIGN(const auto number, current_generation(context));
  HF_ASSIGN(auto current, generation_side(context, number));
  if (is_number(given.front())) return Sides{std::move(one), std::move(current)};
  return Sides{std::move(current), std::move(one)};
}

std::string json_of(const Sides& sides, const std::vector<proto::FieldChange>& changes) {
  proto::json::Writer out;
  out.begin_object().key("from").value(sides.before.name).key("to").value(sides.after.name);
  out.key("changes").begin_array();
  for (const auto& change : changes) {
    out.begin_object().key("path").value(change.path).key("before").value(change.before);
    out.key("after").value(change.after).key("restarts").value(change.restarts).end_object();
  }
  return std::move(out.end_array().end_object()).take();
}

}  // namespace

ExitCode run_command(const Context& context, const HistoryOptions& options) {
  auto answer = context.agent.call<"history">();
  if (!answer) return report(context, answer.error());
  auto items = std::move(answer->value);
  if (options.limit > 0 && items.size() > options.limit) items.resize(options.limit);
  if (context.json()) return print_json(context, api::encode(items));
  print(history_view(items, context.out, context.clock.wall()));
  return ExitCode::done;
}

ExitCode run_command(const Context& context, const ShowOptions& options) {
  if (!options.what.empty() && !is_number(options.what))
    return run_command(context, StatusOptions{.service = options.what, .watch = false});
  return show_generation(context, options);
}

ExitCode run_command(const Context& context, const DiffOptions& options) {
  const auto sides = both_sides(context, options.sides);
  if (!sides)
    return sides.error().what().empty() ? ExitCode::rejected : report(context, sides.error());
  const auto changes = proto::diff_documents(sides->before.canonical, sides->after.canonical);
  if (!changes) return report(context, changes.error());
  if (context.json()) {
    if (const auto printed = print_json(context, json_of(*sides, *changes));
        printed != ExitCode::done)
      return printed;
  } else {
    print(diff_view(*changes, sides->before.name, sides->after.name, context.out));
  }
  return options.exit_code && !changes->empty() ? ExitCode::degraded : ExitCode::done;
}

std::unique_ptr<Command> add_history(CLI::App& app) {
  auto made = std::make_unique<CommandOf<HistoryOptions>>();
  auto& options = made->options;
  auto* history =
      subcommand(app, "history", "Generations of this host, newest first",
                 "  holdfast history\n  holdfast history -n 5\n  holdfast history -o json");
  history->add_option("-n,--limit", options.limit, "Only the newest N")
      ->check(whole)
      ->type_name("N");
  return made;
}

std::unique_ptr<Command> add_show(CLI::App& app) {
  auto made = std::make_unique<CommandOf<ShowOptions>>();
  auto& options = made->options;
  auto* show = subcommand(app, "show", "One generation or service in full",
                          "  holdfast show\n  holdfast show 41\n  holdfast show web\n"
                          "  holdfast show 41 --document > shop.yaml");
  show->add_option("what", options.what, "Generation or service; the current generation without")
      ->type_name("GENERATION|SERVICE");
  show->add_flag("--document", options.document, "Only the document of the generation");
  return made;
}

std::unique_ptr<Command> add_diff(CLI::App& app) {
  auto made = std::make_unique<CommandOf<DiffOptions>>();
  auto& options = made->options;
  auto* diff =
      subcommand(app, "diff", "Field by field: two generations, or a file and one",
                 "  holdfast diff 41 42\n  holdfast diff shop.yaml\n  holdfast diff 41 shop.yaml");
  diff->add_option("sides", options.sides, "Generations or files; one: against the current")
      ->expected(1, 2)
      ->required()
      ->type_name("A [B]");
  diff->add_flag("--exit-code", options.exit_code, "Exit with 6 when they differ");
  return made;
}

}  // namespace holdfast::agent::cli
