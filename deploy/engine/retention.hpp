#pragma once
#include <string>

#include "deploy/engine/commands/rollbacks.hpp"
#include "deploy/engine/state/parts.hpp"

namespace holdfast::deploy::engine {

/// Which images and generations stay, and that the rest goes. Engine thread only.
class Retention {
 public:
  Retention(Parts& parts, const Rollbacks& rollbacks) : parts_(parts), rollbacks_(rollbacks) {}

  /// Tells the store which images must stay, before any decision counts on one that is there.
  void retain_images();
  /// Deletes the others, on a thread for pulls.
  void collect();
  /// Images came, went, or were found damaged: they are looked at again. `collected` goes to the
  /// ledger; empty: nothing was.
  void images_changed(const std::string& collected, const Actor& actor);
  void forget_old_generations();

 private:
  void collect_now();
  void collected(const Result<image::Collected>& done);

  Parts& parts_;
  const Rollbacks& rollbacks_;
};

}  // namespace holdfast::deploy::engine
