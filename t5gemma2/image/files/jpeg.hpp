// A JPEG file, decoded by libjpeg-turbo with its default settings, which are PIL's: baseline, progressive or
// arithmetic coding of 8 bits, the exact integer transform, subsampled colours interpolated by a triangle.
//
// After most damage libjpeg warns and goes on with made-up pixels, as PIL does; here that is an error. Print
// colours are read as Adobe writes them, inverted CMYK or YCCK, which only an Adobe segment tells.
// Reference: ITU-T T.81; PIL JpegImagePlugin.py, JpegDecode.c; EXIF 2.3 §4.7.
#pragma once
#include <cstdio>  // these three in this order: each needs the one before

#include <jpeglib.h>

#include <jerror.h>

#include <algorithm>
#include <csetjmp>
#include <new>
#include <string>
#include <type_traits>
#include <vector>

#include "../pixels.hpp"
#include "exif.hpp"
#include "format.hpp"

namespace t5gemma2::image_files {

/// A file of a few kilobytes can have any number of scans over a large image; encoders write about ten.
inline constexpr int most_jpeg_scans = 100;

/// Whether libjpeg makes up pixels after this warning. Other warnings concern slips that change no pixel.
inline bool loses_pixels(int message) {
  return message == JWRN_HIT_MARKER || message == JWRN_HUFF_BAD_CODE || message == JWRN_ARITH_BAD_CODE ||
         message == JWRN_MUST_RESYNC || message == JWRN_JPEG_EOF;
}

/// Print colours, one line, inverted as Adobe writes them, to RGB as PIL does it.
inline void cmyk_to_rgb(const std::vector<JSAMPLE>& cmyk, std::uint8_t* rgb) {
  for (std::size_t pixel = 0; pixel < cmyk.size() / 4; ++pixel)
    for (std::size_t channel = 0; channel < 3; ++channel) {
      const int ink = 255 - cmyk[4 * pixel + channel], paper = cmyk[4 * pixel + 3];
      rgb[3 * pixel + channel] = static_cast<std::uint8_t>(std::max(paper - (ink * paper + 127) / 255, 0));
    }
}

class JpegDecoder {
 public:
  /// Reads everything before the first pixels. Throws Error when it is damaged or of an unsupported kind. The
  /// file must outlive the decoder.
  JpegDecoder(Bytes file, const std::string& where) : JpegDecoder(where) {
    run([file, progress = &progress_](jpeg_decompress_struct& state) {
      jpeg_create_decompress(&state);
      state.progress = progress;
      jpeg_mem_src(&state, reinterpret_cast<const unsigned char*>(file.data()), file.size());
      jpeg_save_markers(&state, exif_marker, 0xFFFF);
      jpeg_read_header(&state, TRUE);
    });
    check_components();
    orientation_ = find_orientation();
  }
  JpegDecoder(const JpegDecoder&) = delete;
  JpegDecoder& operator=(const JpegDecoder&) = delete;
  ~JpegDecoder() { jpeg_destroy_decompress(&state_); }

  Index width() const { return state_.image_width; }
  Index height() const { return state_.image_height; }

  /// The orientation in the first EXIF segment; 1 without one.
  int orientation() const { return orientation_; }

  /// The image as it is in the file; call once. Throws Error when the file is damaged or truncated.
  Image pixels() {
    const bool print = state_.num_components == 4;
    state_.out_color_space = print ? JCS_CMYK : JCS_RGB;
    run([](jpeg_decompress_struct& state) { jpeg_start_decompress(&state); });
    check_every_component_has_pixels();
    Image image(width(), height());
    std::vector<JSAMPLE> line(std::size_t{state_.output_width} * (print ? 4 : 3));
    for (Index y = 0; y < image.height; ++y) {
      run([to = line.data()](jpeg_decompress_struct& state) mutable { jpeg_read_scanlines(&state, &to, 1); });
      if (print) {
        cmyk_to_rgb(line, image.pixel(0, y));
      } else {
        std::copy(line.begin(), line.end(), image.pixel(0, y));
      }
    }
    run([](jpeg_decompress_struct& state) { jpeg_finish_decompress(&state); });
    return image;
  }

 private:
  static constexpr int exif_marker = JPEG_APP0 + 1;

  explicit JpegDecoder(const std::string& where) : where_(where) {
    state_.err = jpeg_std_error(&errors_);
    state_.client_data = this;
    errors_.error_exit = [](j_common_ptr state) { give_up(state); };
    errors_.emit_message = [](j_common_ptr state, int level) {
      if (level < 0 && loses_pixels(state->err->msg_code)) give_up(state);
    };
    progress_.progress_monitor = [](j_common_ptr state) {
      auto& decoder = *static_cast<JpegDecoder*>(state->client_data);
      decoder.too_many_scans_ = decoder.state_.input_scan_number > most_jpeg_scans;
      if (decoder.too_many_scans_) give_up(state);
    };
  }

  /// To be called before the last pixels are read: libjpeg then frees the segments.
  int find_orientation() const {
    using namespace std::literals;
    for (const jpeg_marker_struct* segment = state_.marker_list; segment != nullptr;
         segment = segment->next) {
      const Bytes content = std::as_bytes(std::span(segment->data, segment->data_length));
      if (holds(content, 0, "Exif\0\0"sv)) return orientation_of(content);
    }
    return 1;
  }

  [[noreturn]] static void give_up(j_common_ptr state) {
    std::longjmp(static_cast<JpegDecoder*>(state->client_data)->start_of_run_, 1);
  }

  /// Runs `step`, a call of libjpeg. Throws Error when libjpeg gives up: it then jumps back to here, over its
  /// own functions and over `step`, which therefore must not hold anything that has a destructor.
  template <class Step>
  void run(Step step) {
    static_assert(std::is_trivially_destructible_v<Step>);
    if (setjmp(start_of_run_) != 0) fail_as_libjpeg_says();
    step(state_);
  }

  [[noreturn]] void fail_as_libjpeg_says() {
    if (too_many_scans_)
      fail_file(where_, "a JPEG image of at most " + std::to_string(most_jpeg_scans) + " scans", "more");
    char text[JMSG_LENGTH_MAX];
    errors_.format_message(reinterpret_cast<j_common_ptr>(&state_), text);
    switch (errors_.msg_code) {
      case JERR_OUT_OF_MEMORY:
        throw std::bad_alloc();
      case JWRN_JPEG_EOF:
        fail_truncated(where_, Format::jpeg);
      case JERR_BAD_PRECISION:
        fail_unsupported(std::to_string(errors_.msg_parm.i[0]) + " bits a channel");
      case JERR_SOF_UNSUPPORTED:
        fail_unsupported("lossless or hierarchical coding");
      case JERR_IMAGE_TOO_BIG:
        fail_file(where_, "a JPEG image of at most " + std::to_string(JPEG_MAX_DIMENSION) + " pixels a side",
                  std::to_string(width()) + " x " + std::to_string(height()) + " pixels");
      case JERR_ARITH_NOTIMPL:
      case JERR_CCIR601_NOTIMPL:
      case JERR_COMPONENT_COUNT:
      case JERR_EMPTY_IMAGE:
      case JERR_FRACT_SAMPLE_NOTIMPL:
      case JERR_NOT_COMPILED:
        fail_unsupported("another kind (" + std::string(text) + ")");
      default:
        fail_damaged(where_, Format::jpeg, text);
    }
  }

  [[noreturn]] void fail_unsupported(const std::string& found) {
    fail_file(where_, "a JPEG image of 8 bits a channel in baseline or progressive coding", found);
  }

  void check_components() {
    const int count = state_.num_components;
    if (count != 1 && count != 3 && count != 4)
      fail_file(where_, "a JPEG image of 1, 3 or 4 components", std::to_string(count));
    const bool adobe = state_.saw_Adobe_marker != 0;
    const int transform = state_.Adobe_transform;
    if (count == 4 && !(adobe && (transform == 0 || transform == 2)))
      fail_file(where_, "a JPEG image in grey, colour or Adobe's CMYK", "four components of unknown meaning");
  }

  /// A component of which no scan has been, or only details, would be plain grey.
  void check_every_component_has_pixels() {
    if (jpeg_has_multiple_scans(&state_) == 0) return;
    for (int i = 0; i < state_.num_components; ++i) {
      const bool scanned = state_.comp_info[i].quant_table != nullptr;
      const bool only_details = state_.coef_bits != nullptr && state_.coef_bits[i][0] < 0;
      if (!scanned || only_details) fail_damaged(where_, Format::jpeg, "a component has no pixels");
    }
  }

  std::string where_;
  jpeg_decompress_struct state_{};
  jpeg_error_mgr errors_{};
  jpeg_progress_mgr progress_{};
  std::jmp_buf start_of_run_{};
  bool too_many_scans_ = false;
  int orientation_ = 1;
};

}  // namespace t5gemma2::image_files
