#pragma once
#include <string>

#include "common/base/clock.hpp"
#include "deploy/image/port/pull_progress.hpp"
#include "proto/api/messages.hpp"

namespace holdfast::deploy::engine {

/// An event of how far an image or one of its layers is. Its detail is a PullProgress as JSON text:
/// image, layer, phase, bytes, total, rate (bytes a second), seconds_left (null: not known).
[[nodiscard]] proto::api::Event pull_event(const image::PullProgress& progress, WallTime now);

}  // namespace holdfast::deploy::engine
