// Comparisons: dicts of arrays, files and the engine against each other.
#include <algorithm>
#include <optional>

#include "loaded_model.hpp"
#include "t5gemma2/analysis/compare.hpp"
#include "t5gemma2/analysis/compare_files.hpp"
#include "t5gemma2/analysis/report/report_html.hpp"
#include "t5gemma2/analysis/report/report_json.hpp"
#include "t5gemma2/analysis/report/report_text.hpp"

namespace t5gemma2::python {

namespace {

using nb::literals::operator""_a;
using NamedTolerances = std::vector<std::pair<std::string, float>>;

Dtype dtype_of(StorageType type) {
  return type == StorageType::float32 ? Dtype::f32 : type == StorageType::float16 ? Dtype::f16 : Dtype::bf16;
}

bool are_whole(nb::handle array) { return text_of(array.attr("dtype")).find("int") != std::string::npos; }

/// Whether ids are expected under the name, or an array without a type could hold nothing else.
bool holds_ids(const std::string& name, nb::handle value) {
  if (name.ends_with("_ids") || name == "inputs.generate_from" || name == "generated") return true;
  if (!nb::isinstance<nb::list>(value) && !nb::isinstance<nb::tuple>(value)) return false;
  return nb::len(value) > 0 && PyIndex_Check(nb::object(value[0]).ptr()) != 0;
}

/// A view of the array's numbers, or of a copy of them row by row, which the file keeps.
StoredTensor stored(ReferenceFile& file, const std::string& name, nb::handle value) {
  nb::object rows = nb::borrow(value);
  if (nb::hasattr(value, "contiguous"))
    rows = value.attr("detach")().attr("contiguous")();
  else if (nb::hasattr(value, "flags"))
    rows = nb::module_::import_("numpy").attr("require")(value, nb::none(), "C");
  const Array& array = file.keep(array_of(rows, name));
  file.keep(std::move(rows));
  return {.name = name,
          .dtype = dtype_of(array.type),
          .shape = array.shape(),
          .data = static_cast<const std::byte*>(array.view.data()),
          .bytes = array.view.nbytes(),
          .file = file.path.string()};
}

/// Whole numbers of any shape, as far as float32 has them all.
StoredTensor stored_whole(ReferenceFile& file, const std::string& name, nb::handle value) {
  using Numbers = nb::ndarray<nb::numpy, std::int64_t, nb::c_contig, nb::device::cpu>;
  constexpr std::int64_t most = std::int64_t{1} << 24;
  const nb::object numpy = nb::module_::import_("numpy");
  const nb::object array_of_any = numpy.attr("asarray")(value);
  const auto all = [&](const char* compare, std::int64_t bound) {
    return nb::cast<bool>(numpy.attr(compare)(array_of_any, bound).attr("all")().attr("item")());
  };
  if (!all("greater_equal", -most) || !all("less_equal", most))
    throw nb::value_error((name + ": expected whole numbers from -2^24 to 2^24, found larger ones").c_str());
  const nb::object wide = numpy.attr("ascontiguousarray")(array_of_any, numpy.attr("int64"));
  const Numbers& array = file.keep(nb::cast<Numbers>(wide));
  const std::vector<Index> extents = nb::cast<std::vector<Index>>(value.attr("shape"));
  return {.name = name,
          .dtype = Dtype::i64,
          .shape = extents,
          .data = reinterpret_cast<const std::byte*>(array.data()),
          .bytes = array.nbytes(),
          .file = file.path.string()};
}

/// The value under a name, in place of what is there.
void set_value(ReferenceFile& file, const std::string& name, nb::handle value) {
  if (holds_ids(name, value))
    file.set_ids(name, ids_of(value, name));
  else if (nb::hasattr(value, "dtype") && are_whole(value))
    file.tensors[name] = stored_whole(file, name, value);
  else
    file.tensors[name] = stored(file, name, value);
}

ReferenceFile reference_of(const nb::dict& arrays, const std::string& name) {
  ReferenceFile file{.path = name};
  for (const auto& [key, value] : arrays) set_value(file, utf8_of(key, name), value);
  return is_cache_of_hooks(file) ? with_taps_names(std::move(file)) : file;
}

Tolerances tolerances_of(std::optional<float> all, const NamedTolerances& by_pattern) {
  Tolerances tolerances;
  tolerances.all = all;
  tolerances.by_pattern = by_pattern;
  return tolerances;
}

Comparison compare_with(LoadedModel& model, const ReferenceFile& file, std::optional<float> tolerance,
                        const NamedTolerances& by_pattern) {
  std::optional<Vision> vision;
  if (file.tensors.contains(images_of_reference)) vision = model.vision();
  return without_gil(model.threads(), [&] {
    Comparison result = compare(model.model(), vision, file, tolerances_of(tolerance, by_pattern));
    explain(result, model.model(), file);
    return result;
  });
}

}  // namespace

void bind_comparison(nb::module_& m) {
  nb::class_<ReferenceFile>(m, "Reference")
      .def_static(
          "open", [](const std::filesystem::path& path) { return open_reference(path); }, "path"_a)
      .def_static("of", reference_of, "arrays"_a, "name"_a)
      .def("set", set_value, "name"_a, "value"_a);
  nb::class_<Comparison>(m, "Comparison")
      .def_prop_ro("passed", [](const Comparison& self) { return self.passed(); })
      .def(
          "text", [](const Comparison& self, bool all) { return report_text(self, all); }, "all"_a)
      .def("json",
           [](const Comparison& self) {
             return report_json(self).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
           })
      .def("html", [](const Comparison& self) { return report_html(self); });
  m.def(
      "compare_references",
      [](const ReferenceFile& mine, const ReferenceFile& theirs, std::optional<float> tolerance,
         const NamedTolerances& by_pattern) {
        const Tolerances tolerances = tolerances_of(tolerance, by_pattern);
        return without_gil(all_threads, [&] { return compare_files(mine, theirs, tolerances); });
      },
      "mine"_a, "theirs"_a, "tolerance"_a.none(), "by_pattern"_a);
  m.def("compare_model", compare_with, "model"_a, "theirs"_a, "tolerance"_a.none(), "by_pattern"_a);
}

}  // namespace t5gemma2::python
