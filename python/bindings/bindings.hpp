// The parts of the module, and what they share.
#pragma once
#include <nanobind/nanobind.h>

#include <string>

#include "t5gemma2/image/pixels.hpp"

namespace t5gemma2::python {

void bind_units(nanobind::module_& m);
void bind_images(nanobind::module_& m);
void bind_model(nanobind::module_& m);
void bind_comparison(nanobind::module_& m);

/// The image in a file, or of an array uint8 [height, width, 3]. Throws TypeError naming the argument, Error as load_image
/// does.
Image image_of(nanobind::handle value, const std::string& name);

}  // namespace t5gemma2::python
