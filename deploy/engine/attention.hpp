#pragma once
#include <algorithm>
#include <utility>

#include "deploy/runtime/instances.hpp"

namespace holdfast::deploy::engine {

/// What the next reconcile pass has to look at. Engine thread only.
class Attention {
 public:
  /// Something changed outside: the next pass observes everything, as closely as `look` says.
  void mark_changed(runtime::Look look = runtime::Look::quick) {
    changed_ = true;
    deepen(look);
  }
  void deepen(runtime::Look look) { look_ = std::max(look_, look); }
  [[nodiscard]] bool changed() const { return changed_; }
  [[nodiscard]] bool take_changed() { return std::exchange(changed_, false); }
  [[nodiscard]] runtime::Look take_look() { return std::exchange(look_, runtime::Look::quick); }

 private:
  bool changed_ = true;
  runtime::Look look_ = runtime::Look::complete;  ///< of the first observation
};

}  // namespace holdfast::deploy::engine
