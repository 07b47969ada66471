// The images of requests: files to features, with bars. The vision half is opened with the first image.
#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "image_memory.hpp"
#include "interrupted.hpp"
#include "load_weights.hpp"
#include "progress_bar.hpp"
#include "t5gemma2/prompt.hpp"

namespace cli {

class ImageEncoder {
 public:
  /// The model must outlive this.
  ImageEncoder(const Model& model, std::string dtype, bool pan_and_scan, bool quiet)
      : model_(model), dtype_(std::move(dtype)), pan_and_scan_(pan_and_scan), quiet_(quiet) {}

  /// Throws Error where a file is no image, or the model takes none.
  std::vector<PromptImage> read(const std::vector<std::string>& files) {
    std::vector<PromptImage> images = load_images(files, pan_and_scan_);
    if (!images.empty() && !vision_) vision_ = open_vision(model_, dtype_, quiet_);
    return images;
  }

  /// Null before the first image.
  const Vision* vision() const { return vision_ ? &*vision_ : nullptr; }

  /// The features of all images and their crops; those of the last images are remembered. Throws Interrupted.
  std::vector<Matrix> features_of(const std::vector<PromptImage>& images) {
    std::vector<Matrix> features;
    for (std::size_t i = 0; i < images.size(); ++i) {
      const auto compute = [&] {
        const std::string which = std::to_string(i + 1) + " of " + std::to_string(images.size());
        ProgressBar bar("looking at image " + which, !quiet_);
        return get_image_features(*vision_, {&images[i], 1}, interruptible(bar));
      };
      const std::vector<Matrix>& own = memory_.features_of(images[i].image, compute);
      features.insert(features.end(), own.begin(), own.end());
    }
    return features;
  }

 private:
  const Model& model_;
  std::string dtype_;
  bool pan_and_scan_, quiet_;
  std::optional<Vision> vision_;
  ImageMemory memory_;
};

}  // namespace cli
