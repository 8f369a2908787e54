#include "agent/cli/image_options.hpp"

#include <CLI/CLI.hpp>

namespace holdfast::agent::cli {

void add_image_command(CLI::App& app, ImageOptions& options) {
  auto* image = app.add_subcommand("image", "The images on this host");
  image->footer(
      "Examples:\n"
      "  holdfast image list\n"
      "  holdfast image pull registry.example.com/shop/web:1.8.2@sha256:<64 hex>\n"
      "  holdfast image verify --all --repair\n  holdfast image gc --dry-run\n"
      "  holdfast image export 6fa1c0d2 -o web.tar");
  image->require_subcommand(1);
  image->fallthrough();
  const auto action = [&](const char* name, const char* text, const char* examples,
                          ImageOptions::Action which) {
    auto* sub = image->add_subcommand(name, text);
    sub->footer(std::string{"Examples:\n"} + examples);
    sub->callback([&options, which] { options.action = which; });
    return sub;
  };
  action("list", "What is here, what needs it, and whether it is whole",
         "  holdfast image list\n  holdfast image list -o json | jq '.[].digest'",
         ImageOptions::Action::list);

  auto* pull = action("pull", "Fetch and verify an image ahead of its rollout",
                      "  holdfast image pull registry.example.com/shop/web:1.8.2@sha256:<64 hex>\n"
                      "  holdfast image pull --keep 7d REF",
                      ImageOptions::Action::pull);
  pull->add_option("reference", options.reference, "Pinned image")->required()->type_name("REF");
  pull->add_option("--keep", options.keep, "Keep it for this time, needed or not (24h)")
      ->type_name("SPAN");

  auto* verify = action("verify", "Hash what is on disk again; exit code 6 if damaged",
                        "  holdfast image verify --all\n  holdfast image verify 6fa1c0d2 --repair",
                        ImageOptions::Action::verify);
  auto* which =
      verify->add_option("image", options.images, "Reference, or first digits of a digest")
          ->type_name("IMAGE...");
  verify->add_flag("--all", options.all, "Every image (the same as naming none)")->excludes(which);
  verify->add_flag("--repair", options.repair, "Fetch what is damaged again, and wait for that");

  auto* export_ =
      action("export", "Write an image to a file, for docker and others",
             "  holdfast image export 6fa1c0d2 -o web.tar", ImageOptions::Action::export_);
  export_->add_option("image", options.reference, "Reference, or first digits of a digest")
      ->required()
      ->type_name("IMAGE");
  export_->add_option("-o,--file", options.file, "Archive to write; one that is there is replaced")
      ->required()
      ->type_name("FILE");

  auto* import = action("import", "Take the images of an archive, verified as in a pull",
                        "  skopeo copy docker://REF oci-archive:web.tar\n"
                        "  holdfast image import web.tar\n"
                        "  holdfast image import web.tar --reference registry.example.com/web:1",
                        ImageOptions::Action::import);
  import->add_option("file", options.file, "OCI layout archive")->required()->type_name("FILE");
  import->add_option("--reference", options.reference, "By which name to remember it")
      ->type_name("NAME");
  import
      ->add_option("--keep", options.keep, "Keep them this long although nothing needs them (24h)")
      ->type_name("SPAN");

  action("gc", "Remove what nothing needs any more",
         "  holdfast image gc --dry-run\n  holdfast image gc", ImageOptions::Action::gc)
      ->add_flag("--dry-run", options.dry_run, "Only show what would go, and why the rest stays");
}

}  // namespace holdfast::agent::cli
