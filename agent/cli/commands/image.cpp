// image: what is in the store, and what may be done with it. What takes longer is a job of the
// agent, followed by its events until its end.
#include "agent/cli/commands/image.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>

#include "agent/cli/commands/register.hpp"
#include "agent/cli/render/progress.hpp"
#include "agent/cli/render/table.hpp"
#include "agent/cli/render/views.hpp"
#include "agent/cli/render/when.hpp"
#include "common/base/text.hpp"
#include "proto/api/codec.hpp"
#include "proto/image_ref.hpp"

namespace holdfast::agent::cli {
namespace {

namespace api = proto::api;

ProgressPrinter::Style style_of(const Context& context) {
  using Style = ProgressPrinter::Style;
  if (context.globals.quiet) return Style::silent;
  return context.err.terminal ? Style::live : Style::plain;
}

/// Follows the events until the job's end. The job goes on without this program.
Result<Answer<api::ImageResult>> follow(const Context& context, const api::ImageJob& job,
                                        Progress progress) {
  if (!job.waits_for.empty())
    say(context,
        fmt::format("{} waits for the {}\n", job.operation.text(), printable(job.waits_for)));
  ProgressPrinter printer{STDERR_FILENO, context.err, style_of(context)};
  HF_ASSIGN(auto stream, context.agent.events({job.since_event, true, {}}));
  for (;;) {
    const auto event = stream.next(context.clock.boot() + printer.period());
    if (!event && event.error().code() != Errc::timed_out) return event.error();
    if (event && !*event)
      return Error{Errc::unreachable,
                   fmt::format("the agent ended, and the {} with it", job.operation.text())}
          .hint("start it, then do this again: what was fetched so far is not fetched again");
    if (event && (*event)->kind == "image") {
      auto result = api::decode<api::ImageResult>((*event)->detail);
      if (result && result->job == job.job) {
        printer.show(progress, context.clock.boot());
        return Answer<api::ImageResult>{std::move(result).value(), (*event)->detail};
      }
    }
    if (event) progress.on(**event, context.clock.boot());
    printer.show(progress, context.clock.boot());
  }
}

ExitCode tell_lost(const Context& context, const api::ImageJob& job, const Error& error) {
  if (error.code() != Errc::cancelled) return report(context, error);
  report(context, api::ErrorBody{"E_CANCELLED",
                                 fmt::format("interrupted; the {} goes on without this program",
                                             job.operation.text()),
                                 "follow it with: holdfast events -f --kind pull,image"});
  return ExitCode::interrupted;
}

std::string damage_text(const api::ImageResult& result, const Look& look) {
  std::string text;
  for (const auto& image : result.images) {
    const auto name = printable(image_name(image.reference, image.digest));
    const bool repaired = std::find(result.repaired.begin(), result.repaired.end(), image.digest) !=
                          result.repaired.end();
    if (repaired && image.damage.empty())
      text += fmt::format("{} {} was damaged and is repaired\n", mark(Mark::good, look), name);
    for (const auto& what : image.damage)
      text +=
          fmt::format("{} {}: {}\n", mark(Mark::bad, look), name, printable(shorten_digests(what)));
  }
  return text;
}

void tell_done(const Context& context, const api::ImageResult& result) {
  const auto& look = context.out;
  if (result.operation == "verify") {
    print(damage_text(result, look));
    const auto broken = std::count_if(result.images.begin(), result.images.end(),
                                      [](const auto& image) { return !image.damage.empty(); });
    print(broken > 0 ? fmt::format("{} of {} images are damaged\n", broken, result.images.size())
                     : fmt::format("{} {} images are whole ({} hashed in {})\n",
                                   mark(Mark::good, look), result.images.size(),
                                   human_bytes(result.bytes), seconds_text(result.seconds)));
    if (broken > 0) say(context, "next: holdfast image verify --repair\n");
    return;
  }
  if (result.operation == "gc" && result.gc) return print(gc_view(*result.gc, look));
  if (result.operation == "export")
    return print(fmt::format("{} {}  {}\n", mark(Mark::good, look), printable(result.path),
                             human_bytes(result.bytes)));
  for (const auto& image : result.images)
    print(fmt::format("{} {}  {}{}\n", mark(Mark::good, look),
                      printable(image_name(image.reference, image.digest)), printable(image.digest),
                      image.leased_until.empty()
                          ? ""
                          : fmt::format("  kept until {}", printable(image.leased_until))));
}

ExitCode exit_of(const api::ImageResult& result) {
  const bool damaged = std::any_of(result.images.begin(), result.images.end(),
                                   [](const auto& image) { return !image.damage.empty(); });
  if (result.operation == "verify" && damaged) return ExitCode::degraded;
  if (!result.error) return ExitCode::done;
  const auto code = errc_from_code(result.error->code);
  if (!code || *code == Errc::unreachable || *code == Errc::timed_out ||
      *code == Errc::cancelled)  // of a registry, not of the agent or this program
    return ExitCode::error;
  return exit_code_of(*code);
}

ExitCode finish(const Context& context, const Result<Answer<api::ImageJob>>& job,
                Progress progress) {
  if (!job) return report(context, job.error());
  const auto result = follow(context, job->value, std::move(progress));
  if (!result) return tell_lost(context, job->value, result.error());
  const auto exit = exit_of(result->value);
  if (context.json()) {
    if (const auto printed = print_json(context, result->body); printed != ExitCode::done)
      return printed;
  } else if (!result->value.error ||
             (result->value.operation == "verify" && !result->value.images.empty())) {
    tell_done(context, result->value);
  }
  if (result->value.error) report(context, *result->value.error);
  return exit;
}

ExitCode list(const Context& context) {
  const auto answer = context.agent.call<"images">();
  if (!answer) return report(context, answer.error());
  if (context.json()) return print_json(context, answer->body);
  print(images_view(answer->value, context.out, context.clock.wall()));
  return ExitCode::done;
}

/// `--keep` as a time; empty without.
Result<std::string> lease_of(const Context& context, const ImageOptions& options) {
  if (options.keep.empty()) return std::string{};
  HF_ASSIGN(const auto span, parse_span(options.keep));
  return to_rfc3339(context.clock.wall() + span);
}

ExitCode pull(const Context& context, const ImageOptions& options) {
  const auto ref = proto::ImageRef::parse(options.reference);
  if (!ref) return report(context, ref.error());
  const auto until = lease_of(context, options);
  if (!until) return report(context, until.error());
  return finish(context, context.agent.call<"image_pull">({options.reference, *until}),
                Progress::of_images(ref->str()));
}

/// As the agent sees it, which has a working directory of its own.
std::string absolute(const std::string& file) {
  std::error_code failed;
  const auto path = std::filesystem::absolute(file, failed);
  return failed ? file : path.lexically_normal().string();
}

ExitCode import(const Context& context, const ImageOptions& options) {
  const auto until = lease_of(context, options);
  if (!until) return report(context, until.error());
  return finish(
      context,
      context.agent.call<"image_import">({absolute(options.file), options.reference, *until}),
      Progress::of_images(""));
}

ExitCode gc(const Context& context, const ImageOptions& options) {
  if (!options.dry_run)
    return finish(context, context.agent.call<"image_gc">(), Progress::of_images("nothing"));
  const auto plan = context.agent.call<"image_gc", api::ImageGcReport>({true});
  if (!plan) return report(context, plan.error());
  if (context.json()) return print_json(context, plan->body);
  print(gc_view(plan->value, context.out));
  return ExitCode::done;
}

}  // namespace

ExitCode run_command(const Context& context, const ImageOptions& options) {
  using Action = ImageOptions::Action;
  switch (options.action) {
    case Action::list:
      return list(context);
    case Action::pull:
      return pull(context, options);
    case Action::verify:
      return finish(context, context.agent.call<"image_verify">({options.images, options.repair}),
                    Progress::of_images(""));
    case Action::export_:
      return finish(context,
                    context.agent.call<"image_export">({options.reference, absolute(options.file)}),
                    Progress::of_images(""));
    case Action::import:
      return import(context, options);
    case Action::gc:
      return gc(context, options);
  }
  return ExitCode::error;
}

namespace {

/// The commands below `image`, which share their options.
class ImageCommands {
 public:
  ImageCommands(CLI::App& image, ImageOptions& options) : image_(image), options_(options) {}

  void add_all() {
    add("list", "What is here, what needs it, and whether it is whole",
        "  holdfast image list\n  holdfast image list -o json | jq '.[].digest'",
        ImageOptions::Action::list);
    add_pull();
    add_verify();
    add_export();
    add_import();
    add("gc", "Remove what nothing needs any more",
        "  holdfast image gc --dry-run\n  holdfast image gc", ImageOptions::Action::gc)
        .add_flag("--dry-run", options_.dry_run, "Only show what would go, and why the rest stays");
  }

 private:
  CLI::App& add(const char* name, const char* text, const char* examples,
                ImageOptions::Action which) {
    auto* sub = image_.add_subcommand(name, text);
    sub->footer(std::string{"Examples:\n"} + examples);
    sub->callback([&options = options_, which] { options.action = which; });
    return *sub;
  }

  void add_pull() {
    auto& pull = add("pull", "Fetch and verify an image ahead of its rollout",
                     "  holdfast image pull registry.example.com/shop/web:1.8.2@sha256:<64 hex>\n"
                     "  holdfast image pull --keep 7d REF",
                     ImageOptions::Action::pull);
    pull.add_option("reference", options_.reference, "Pinned image")->required()->type_name("REF");
    pull.add_option("--keep", options_.keep, "Keep it for this time, needed or not (24h)")
        ->type_name("SPAN");
  }

  void add_verify() {
    auto& verify = add("verify", "Hash what is on disk again; exit code 6 if damaged",
                       "  holdfast image verify --all\n  holdfast image verify 6fa1c0d2 --repair",
                       ImageOptions::Action::verify);
    auto* which =
        verify.add_option("image", options_.images, "Reference, or first digits of a digest")
            ->type_name("IMAGE...");
    verify.add_flag("--all", options_.all, "Every image (the same as naming none)")
        ->excludes(which);
    verify.add_flag("--repair", options_.repair, "Fetch what is damaged again, and wait for that");
  }

  void add_export() {
    auto& export_ =
        add("export", "Write an image to a file, for docker and others",
            "  holdfast image export 6fa1c0d2 -o web.tar", ImageOptions::Action::export_);
    export_.add_option("image", options_.reference, "Reference, or first digits of a digest")
        ->required()
        ->type_name("IMAGE");
    export_
        .add_option("-o,--file", options_.file, "Archive to write; one that is there is replaced")
        ->required()
        ->type_name("FILE");
  }

  void add_import() {
    auto& import = add("import", "Take the images of an archive, verified as in a pull",
                       "  skopeo copy docker://REF oci-archive:web.tar\n"
                       "  holdfast image import web.tar\n"
                       "  holdfast image import web.tar --reference registry.example.com/web:1",
                       ImageOptions::Action::import);
    import.add_option("file", options_.file, "OCI layout archive")->required()->type_name("FILE");
    import.add_option("--reference", options_.reference, "By which name to remember it")
        ->type_name("NAME");
    import
        .add_option("--keep", options_.keep,
                    "Keep them this long although nothing needs them (24h)")
        ->type_name("SPAN");
  }

  CLI::App& image_;
  ImageOptions& options_;
};

}  // namespace

std::unique_ptr<Command> add_image(CLI::App& app) {
  auto made = std::make_unique<CommandOf<ImageOptions>>();
  auto* image = app.add_subcommand("image", "The images on this host");
  image->footer(
      "Examples:\n"
      "  holdfast image list\n"
      "  holdfast image pull registry.example.com/shop/web:1.8.2@sha256:<64 hex>\n"
      "  holdfast image verify --all --repair\n  holdfast image gc --dry-run\n"
      "  holdfast image export 6fa1c0d2 -o web.tar");
  image->require_subcommand(1);
  image->fallthrough();
  ImageCommands{*image, made->options}.add_all();
  return made;
}

}  // namespace holdfast::agent::cli
