#pragma once
#include "agent/cli/options.hpp"

namespace CLI {
class App;
}

namespace holdfast::agent::cli {

/// Adds `image` with its actions; what was given lands in `options`.
void add_image_command(CLI::App& app, ImageOptions& options);

}  // namespace holdfast::agent::cli
