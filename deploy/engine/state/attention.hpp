#pragma once
#include <algorithm>
#include <utility>

#include "deploy/runtime/instances.hpp"

namespace holdfast::deploy::engine {

/// What the next reconcile pass has to look at. Engine thread only.
class Attention {
 public:
  /// Something changed outside: the next pass observes everything, as closely as `depth` says.
  void mark_changed(runtime::InspectionDepth depth = runtime::InspectionDepth::due) {
    changed_ = true;
    deepen(depth);
  }
  void deepen(runtime::InspectionDepth depth) { depth_ = std::max(depth_, depth); }
  [[nodiscard]] bool changed() const { return changed_; }
  [[nodiscard]] bool take_changed() { return std::exchange(changed_, false); }
  [[nodiscard]] runtime::InspectionDepth take_depth() {
    return std::exchange(depth_, runtime::InspectionDepth::due);
  }

 private:
  bool changed_ = true;
  runtime::InspectionDepth depth_ = runtime::InspectionDepth::full;  ///< of the first observation
};

}  // namespace holdfast::deploy::engine
