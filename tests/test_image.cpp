// Images of every kind against transformers' processor, and files that are not images.
#include "t5gemma2/image/image.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "argument_error.hpp"
#include "scratch.hpp"
#include "t5gemma2/checkpoint/safetensors.hpp"

namespace test_image {

using namespace t5gemma2;

namespace {

const std::filesystem::path folder = std::filesystem::path(T5GEMMA2_TEST_DATA) / "image_files";

std::string content_of(const std::string& name) { return read_text(folder / name, "a fixture"); }

Image decode(std::string_view content, Index max_pixels = default_max_pixels) {
  return decode_image(std::as_bytes(std::span(content)), "IMAGE", max_pixels);
}

std::string decode_error(std::string_view content) {
  return error_of([&] { decode(content); });
}

/// `content` with bytes from `at` on replaced.
std::string patched(std::string content, std::size_t at, std::string_view bytes) {
  return content.replace(at, bytes.size(), bytes);
}

/// An image in which every pixel tells its place.
Image numbered(Index width, Index height) {
  Image image(width, height);
  for (Index y = 0; y < height; ++y)
    for (Index x = 0; x < width; ++x) {
      image.pixel(x, y)[0] = static_cast<std::uint8_t>(x & 255);
      image.pixel(x, y)[1] = static_cast<std::uint8_t>(y & 255);
      image.pixel(x, y)[2] = static_cast<std::uint8_t>((x >> 8) + 16 * (y >> 8));
    }
  return image;
}

/// The greatest distance between two bytes.
int greatest_difference(const Image& image, const StoredTensor& expected) {
  REQUIRE(expected.dtype == Dtype::u8);
  REQUIRE(expected.bytes == image.rgb.size());
  int greatest = 0;
  for (std::size_t i = 0; i < image.rgb.size(); ++i)
    greatest = std::max(greatest, std::abs(image.rgb[i] - std::to_integer<int>(expected.data[i])));
  return greatest;
}

/// One row of `shades` grey pixels.
Image grey_row(const std::vector<int>& shades) {
  Image image(std::ssize(shades), 1);
  for (std::size_t i = 0; i < image.rgb.size(); ++i) image.rgb[i] = static_cast<std::uint8_t>(shades[i / 3]);
  return image;
}

}  // namespace

TEST_CASE("image: every kind of file as transformers gives it to the model") {
  const auto expected = SafetensorsFile::open(folder / "expected.safetensors");
  std::set<std::string> kinds;
  for (const auto& entry : expected.tensors()) {
    const std::string& name = entry.first;
    const StoredTensor& tensor = entry.second;
    if (tensor.shape.size() != 3 || tensor.dtype != Dtype::u8) continue;
    CAPTURE(name);
    CHECK(greatest_difference(resize(load_image(folder / name), 8, 8), tensor) == 0);
    kinds.insert(std::filesystem::path(name).extension());
  }
  CHECK(kinds == std::set<std::string>{".bmp", ".gif", ".jpg", ".pgm", ".png", ".ppm", ".tga"});
}

TEST_CASE("image: pixel values, channels first, from -1 to 1") {
  const auto expected = SafetensorsFile::open(folder / "expected.safetensors");
  const StoredTensor& tensor = expected.tensors().find("pixel_values of rgb.png")->second;
  const Matrix x = pixel_values(load_image(folder / "rgb.png"), 8);
  check_shape(x, 3, 64, "x");
  CHECK((x.reshaped<Eigen::RowMajor>() - to_vector(tensor)).cwiseAbs().maxCoeff() < 1e-6f);

  Image white_and_black = grey_row({255, 0});
  white_and_black.rgb[1] = 102;  // green of the first pixel
  const Matrix two = pixel_values(crop(white_and_black, 0, 0, 1, 1), 1);
  CHECK(two(0, 0) == 1.0f);
  CHECK(two(1, 0) == doctest::Approx(-0.2f));
  CHECK(pixel_values(crop(white_and_black, 1, 0, 1, 1), 1)(2, 0) == -1.0f);
}

TEST_CASE("image: resizing") {
  const Image row = grey_row({0, 100, 200, 40});
  const auto shades = [](const Image& image) {
    std::vector<int> found;
    for (Index x = 0; x < image.width; ++x) found.push_back(image.pixel(x, 0)[0]);
    return found;
  };
  CHECK(shades(resize(row, 4, 1)) == std::vector{0, 100, 200, 40});
  // Half: weights 3 3 1 at the edges (the fourth is cut off), of seven.
  CHECK(shades(resize(row, 2, 1)) ==
        std::vector{(3 * 0 + 3 * 100 + 200 + 3) / 7, (100 + 3 * 200 + 3 * 40 + 3) / 7});
  // Twice: a quarter of the neighbour, none beyond the edge.
  CHECK(shades(resize(row, 8, 1)) == std::vector{0, 25, 75, 125, 175, 160, 80, 40});
  CHECK(shades(resize(row, 1, 1)) == std::vector{(5 * 0 + 7 * 100 + 7 * 200 + 5 * 40 + 12) / 24});

  Image column = row;
  std::swap(column.width, column.height);
  CHECK(resize(column, 1, 2).rgb == resize(row, 2, 1).rgb);
}

TEST_CASE("image: images without pixels, and sizes of none, are refused with the field") {
  Image no_bytes = grey_row({1, 2});
  no_bytes.rgb.clear();
  Image negative = grey_row({1, 2});
  negative.width = -2;
  const ScratchFolder scratch;
  const auto refused = [&](const Image& image, const std::string& message) {
    CHECK(argument_error([&] { crop(image, 0, 0, 1, 1); }) == message);
    CHECK(argument_error([&] { upright(image, 1); }) == message);
    CHECK(argument_error([&] { upright(image, 6); }) == message);
    CHECK(argument_error([&] { resize(image, 1, 1); }) == message);
    CHECK(argument_error([&] { pixel_values(image, 1); }) == message);
    CHECK(argument_error([&] { pan_and_scan(image); }) == message);
    CHECK(argument_error([&] { write_png(scratch.path() / "x.png", image); }) == message);
  };
  refused(Image(), "image width: expected 1 or more, found 0");
  refused(Image(3, 0), "image height: expected 1 or more, found 0");
  refused(negative, "image width: expected 1 or more, found -2");
  refused(no_bytes, "image rgb: expected 6 bytes (3 * width * height), found 0");
  CHECK(std::filesystem::is_empty(scratch.path()));

  const Image image = numbered(3, 2);
  CHECK(argument_error([&] { resize(image, 0, 1); }) == "resize width: expected 1 or more, found 0");
  CHECK(argument_error([&] { resize(image, 1, -1); }) == "resize height: expected 1 or more, found -1");
  CHECK(argument_error([&] { pixel_values(image, 0); }) == "pixel_values size: expected 1 or more, found 0");
  CHECK(argument_error([&] { crop(image, 3, 0, 1, 1); }) ==
        "crop left: expected a column of the image, found 3");
  CHECK(argument_error([&] { crop(image, 0, -1, 1, 1); }) ==
        "crop top: expected a row of the image, found -1");
  CHECK(argument_error([&] { crop(image, 0, 0, 0, 1); }) == "crop width: expected 1 or more, found 0");
  CHECK(argument_error([&] { crop(image, 0, 0, 1, -1); }) == "crop height: expected 1 or more, found -1");
  const Image corner = crop(image, 2, 1, 9, 9);  // cut off at the edges
  CHECK((corner.width == 1 && corner.height == 1 && corner.rgb[0] == 2 && corner.rgb[1] == 1));
}

TEST_CASE("image: a constant image stays constant at any size") {
  for (const int shade : {0, 1, 127, 255})
    for (const auto& [width, height] : {std::pair<Index, Index>{1, 1}, {1, 700}, {613, 2}, {90, 91}}) {
      Image image(width, height);
      std::fill(image.rgb.begin(), image.rgb.end(), static_cast<std::uint8_t>(shade));
      for (const Index size : {1, 7, 64}) {
        const Image resized = resize(image, size, size);
        CHECK(std::all_of(resized.rgb.begin(), resized.rgb.end(), [&](int value) { return value == shade; }));
      }
    }
}

TEST_CASE("image: upright, for every orientation") {
  const Image image = numbered(3, 2);
  const auto corner = [&](int orientation) {  // where the upper left and the lower right pixel come from
    const Image turned = upright(image, orientation);
    CHECK(turned.width == (orientation < 5 ? 3 : 2));
    const std::uint8_t *first = turned.pixel(0, 0), *last = turned.pixel(turned.width - 1, turned.height - 1);
    return std::vector<int>{first[0], first[1], last[0], last[1]};
  };
  CHECK(corner(1) == std::vector{0, 0, 2, 1});
  CHECK(corner(2) == std::vector{2, 0, 0, 1});
  CHECK(corner(3) == std::vector{2, 1, 0, 0});
  CHECK(corner(4) == std::vector{0, 1, 2, 0});
  CHECK(corner(5) == std::vector{0, 0, 2, 1});
  CHECK(corner(6) == std::vector{0, 1, 2, 0});
  CHECK(corner(7) == std::vector{2, 1, 0, 0});
  CHECK(corner(8) == std::vector{2, 0, 0, 1});
  for (const int none : {-1, 0, 9, 65536}) CHECK(upright(image, none).rgb == image.rgb);
}

TEST_CASE("image: EXIF, well and badly formed") {
  using namespace std::literals;
  const auto orientation = [](std::string_view exif) {
    return image_files::orientation_of(std::as_bytes(std::span(exif)));
  };
  const std::string little = "II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"s;
  const std::string big = "MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x08\0\0\0\0\0\0"s;
  CHECK(orientation(little) == 6);
  CHECK(orientation(big) == 8);
  CHECK(orientation("Exif\0\0"s + big) == 8);
  CHECK(orientation(patched(little, 12, "\x04"sv)) == 6);  // a LONG
  CHECK(orientation(patched(little, 12, "\x02"sv)) == 1);  // text
  CHECK(orientation(patched(little, 14, "\x02"sv)) == 1);  // two values
  CHECK(orientation(patched(little, 18, "\x09"sv)) == 1);  // not within 1 to 8
  CHECK(orientation(patched(little, 4, "\xff\xff\xff\xff"sv)) == 1);
  CHECK(orientation(patched(little, 8, "\xff\xff"sv)) == 6);  // more entries than there are
  CHECK(orientation(patched(little, 10, "\x13"sv)) == 1);     // another tag
  for (std::size_t size = 0; size < 20; ++size) {
    CHECK(orientation(little.substr(0, size)) == 1);
    CHECK(orientation(big.substr(0, size)) == 1);
  }
}

TEST_CASE("image: pan and scan as the processor does it") {
  const auto table = nlohmann::json::parse(content_of("pan_and_scan.json"));
  REQUIRE(table.size() >= 16);
  for (const auto& row : table) {
    CAPTURE(row.dump());
    const Image image = numbered(row["size"][0], row["size"][1]);
    const std::vector<Image> crops = pan_and_scan(image);
    REQUIRE(crops.size() == row["crops"].size());
    for (std::size_t i = 0; i < crops.size(); ++i) {
      const auto& box = row["crops"][i];
      CHECK(crops[i].width == box[2]);
      CHECK(crops[i].height == box[3]);
      CHECK(crops[i].rgb == crop(image, box[0], box[1], box[2], box[3]).rgb);
    }
  }
}

TEST_CASE("image: a written PNG file reads the same") {
  const ScratchFolder scratch;
  const Image image = numbered(37, 300);
  write_png(scratch.path() / "x.png", image);
  const Image read = load_image(scratch.path() / "x.png");
  CHECK(read.width == 37);
  CHECK(read.rgb == image.rgb);
  contains(error_of([&] { write_png(scratch.path() / "none" / "x.png", image); }),
           "x.png: cannot be written: No such file or directory");
}

TEST_CASE("image: a number in a PNM header that is too long is not read as two") {
  const ScratchFolder scratch;
  const std::string pixels(300, '\0');
  for (const std::string header :
       {"P6 00000000100000000010 255\n", "P6 99999999999999999999 10 255\n", "P6 10x10 255\n"}) {
    CAPTURE(header);
    contains(error_of([&] { load_image(scratch.write("x.ppm", header + pixels)); }),
             "a number in its header is too long or does not end");
  }
}

TEST_CASE("image: missing, empty, a folder") {
  const ScratchFolder scratch;
  const auto load = [](const std::filesystem::path& file) { return error_of([&] { load_image(file); }); };
  contains(load(scratch.path() / "none.png"),
           "none.png: expected an image (JPEG, PNG, BMP, GIF, PNM or TGA), found nothing");
  contains(load("https://example.org/cat.jpg"), "found nothing: addresses have to be downloaded first");
  contains(load(scratch.write("empty.png", "")), "found an empty file");
  contains(load(scratch.path()), "found a folder");
  contains(decode_error(""),
           "IMAGE: expected an image (JPEG, PNG, BMP, GIF, PNM or TGA), found an empty file");
}

TEST_CASE("image: kinds that are not read are named") {
  using namespace std::literals;
  const std::vector<std::pair<std::string, std::string>> kinds{
      {"RIFF\x10\0\0\0WEBPVP8 "s, "found a WebP image, which is not read; convert it first"},
      {"\0\0\0\x18"
       "ftypheic"s,
       "a HEIC image"},
      {"\0\0\0\x18"
       "ftypavif"s,
       "an AVIF image"},
      {"\0\0\0\x18"
       "ftypmp42"s,
       "a video"},
      {"II*\0\x08\0\0\0"s, "a TIFF"},
      {"MM\0*\0\0\0\x08"s, "a TIFF"},
      {"BA\x40\0\0\0\0\0\0\0\0\0\0\0BM"s, "an OS/2 bitmap array"},
      {"8BPS\0\x01"s, "a Photoshop file"},
      {"%PDF-1.7"s, "a PDF document"},
      {"\0\0\1\0\1\0\x10\x10\0\0\1\0\x20\0\x68\x04\0\0\x16\0\0\0"s, "an icon"},
      {"\0\0\0\x0cJXL \r\n"s, "a JPEG XL image"},
      {"\0\0\0\x0cjP  \r\n"s, "a JPEG 2000 image"},
      {"P3\n1 1\n255\n0 0 0\n"s, "a P3 PNM image (P5 and P6 are read)"},
      {"<?xml version='1.0'?><svg xmlns='x'/>"s, "an SVG drawing"},
      {"<!DOCTYPE html><html>"s, "a web page (HTML)"},
      {"version https://git-lfs.github.com/spec/v1\n"s, "a git-LFS pointer"},
      {"Just a text called x.png\n"s, "found text"},
      {"\x7f"
       "ELF\2\1\1"s,
       "found something else"}};
  for (const auto& [content, message] : kinds) contains(decode_error(content), message);
}

TEST_CASE("image: a TGA with words in it, or as many as a '<' before it, is no web page and no drawing") {
  const std::string tga = content_of("rgb.tga");
  const Image expected = decode(tga);
  REQUIRE(tga[0] == '\0');
  for (const std::string& words :
       {std::string('<', 'x'), "<svg>" + std::string(55, ' '), std::string("\n<html>\n\t")}) {
    const std::string length(1, static_cast<char>(words.size()));
    CHECK(decode(patched(tga, 0, length).insert(18, words)).rgb == expected.rgb);
  }
}

TEST_CASE("image: whatever is cut off is refused") {
  for (const std::string name :
       {"rgb.png", "palette_alpha.png", "rgb.jpg", "progressive.jpg", "restarts.jpg", "palette.gif",
        "palette.bmp", "rgb.bmp", "rgb.tga", "rgba_packed.tga", "rgb.ppm", "up_to_1020.ppm"}) {
    CAPTURE(name);
    std::string content = content_of(name);
    // What follows the pixels may be missing: TGA's footer, GIF's mark of the end, BMP's padding.
    if (name.ends_with(".tga")) content.resize(content.size() - 26);
    if (name.ends_with(".gif") || name.ends_with(".bmp")) content.resize(content.size() - 1);
    CHECK(decode(content).width > 0);
    for (std::size_t size = 0; size < content.size(); ++size) {
      CAPTURE(size);
      CHECK(decode_error(content.substr(0, size)).starts_with("IMAGE: expected a"));
    }
  }
  contains(decode_error(content_of("rgb.png").substr(0, 700)), "found a truncated one");
  contains(decode_error(content_of("rgb.jpg").substr(0, 900)), "expected a JPEG image, found a");
}

TEST_CASE("image: damaged PNG files") {
  const std::string png = content_of("rgb.png");
  contains(decode_error(patched(png, png.size() / 2, "\x55\x56")), "found a damaged one (a wrong checksum)");
  CHECK(decode(png + "something behind the end").width == 30);
}

TEST_CASE("image: sizes of zero and bombs") {
  using namespace std::literals;
  contains(decode_error("P5 0 5 255\n"), "expected an image of at least one pixel, found 0 x 5 pixels");
  contains(decode_error("P6 4000000000 4000000000 255\n"), "at most 100000000 pixels, found 4000000000 x");
  contains(error_of([] { decode(content_of("rgb.png"), 30 * 23 - 1); }),
           "expected an image of at most 689 pixels, found 30 x 23 pixels");
  CHECK(decode(content_of("rgb.png"), 30 * 23).width == 30);
  const std::string wide = "\xff\xff";
  contains(decode_error(patched(patched(content_of("rgb.bmp"), 18, wide), 22, wide)),
           "found 65535 x 65535 pixels");
  contains(decode_error(patched(patched(content_of("palette.gif"), 6, wide), 8, wide)),
           "at most 100000000 pixels");
  contains(decode_error(patched(patched(content_of("rgb.tga"), 12, wide), 14, wide)),
           "at most 100000000 pixels");
  const std::size_t frame = content_of("rgb.jpg").find("\xff\xc0\0\x11"sv);
  contains(decode_error(patched(content_of("rgb.jpg"), frame + 5, "\xff\xff\xff\xff")),
           "at most 65500 pixels a side, found 65535 x 65535 pixels");
  contains(decode_error(patched(content_of("rgb.jpg"), frame + 5, "\xff\xdc\xff\xdc")),
           "at most 100000000 pixels, found 65500 x 65500 pixels");
}

TEST_CASE("image: a PNG file that unpacks to more than it says") {
  using namespace image_files;
  const std::string png = content_of("rgb.png");
  std::string bomb = png.substr(0, 8);
  const auto append = [&](std::string_view type, const std::string& content) {
    append_chunk(bomb, type, content);
    const std::string summed = std::string(type) + content;
    const std::uint32_t sum = crc32(std::as_bytes(std::span(summed)));
    for (std::size_t i = 0; i < 4; ++i) bomb[bomb.size() - 4 + i] = static_cast<char>(sum >> (24 - 8 * i));
  };
  for (const PngChunk& chunk : png_chunks(std::as_bytes(std::span(png)), "PNG")) {
    std::string content(as_text(chunk.content));
    if (chunk.type == "IHDR") content[3] = content[7] = 1;  // a single pixel
    append(chunk.type, content);
  }
  contains(decode_error(bomb), "found a damaged one (its pixels cannot be unpacked)");
}

TEST_CASE("image: print colours of unknown meaning") {
  std::string jpeg = content_of("cmyk.jpg");
  jpeg.replace(jpeg.find("Adobe"), 5, "Other");
  contains(decode_error(jpeg), "found four components of unknown meaning");
}

TEST_CASE("image: JPEG files of a kind that is not read") {
  using namespace std::literals;
  const std::string jpeg = content_of("rgb.jpg");
  const std::size_t frame = jpeg.find("\xff\xc0\0\x11"sv);
  REQUIRE(frame < jpeg.size());
  const std::string expected =
      "expected a JPEG image of 8 bits a channel in baseline or progressive coding, found ";
  contains(decode_error(patched(jpeg, frame + 4, "\x0c")), expected + "12 bits a channel");
  contains(decode_error(patched(jpeg, frame + 1, "\xc5")), expected + "lossless or hierarchical coding");
  contains(decode_error(patched(jpeg, frame + 5, "\0\0"sv)),
           expected + "another kind (Empty JPEG image (DNL not supported))");
  contains(decode_error(patched(patched(jpeg, frame + 11, "\x31"), frame + 14, "\x21")),
           expected + "another kind (Fractional sampling not implemented yet)");
}

TEST_CASE("image: damaged JPEG files") {
  using namespace std::literals;
  const std::string jpeg = content_of("rgb.jpg"), restarts = content_of("restarts.jpg");
  const std::size_t frame = jpeg.find("\xff\xc0\0\x11"sv), tables = jpeg.find("\xff\xc4\0"sv),
                    scan = jpeg.find("\xff\xda\0\x0c"sv), restart = restarts.find("\xff\xd1");
  REQUIRE(std::max({frame, tables, scan}) < jpeg.size());
  REQUIRE(restart < restarts.size());
  const auto damaged = [](const std::string& file, const std::string& why) {
    contains(decode_error(file), "expected a JPEG image, found a damaged one (" + why + ")");
  };
  damaged(patched(jpeg, frame + 12, "\x03"), "Quantization table 0x03 was not defined");
  damaged(patched(jpeg, tables + 6, "\xff"), "Bogus Huffman table definition");
  damaged(patched(jpeg, scan + 6, "\x22"), "Huffman table 0x02 was not defined");
  damaged(patched(jpeg, scan + 7, "\x01"), "Invalid component ID 1 in SOS");  // one component twice
  damaged(jpeg.substr(0, jpeg.size() - 200) + "\xff\xd9", "Corrupt JPEG data: premature end of data segment");
  damaged(patched(restarts, restart + 1, "\xd3"), "Corrupt JPEG data: found marker 0xd3 instead of RST1");

  std::string grey = content_of("grey.jpg");  // with two colours of which there is no scan
  grey.replace(grey.find("\xff\xc0\0\x0b"sv) + 2, 11, "\0\x11\x08\0\x25\0\x30\3\1\x11\0\2\x11\0\3\x11\0"sv);
  damaged(grey, "a component has no pixels");
}

TEST_CASE("image: a JPEG file may hold what every reader passes over") {
  using namespace std::literals;
  const std::string jpeg = content_of("rgb.jpg");
  const Image image = decode(jpeg);
  const std::size_t scan = jpeg.find("\xff\xda\0\x0c"sv);
  CHECK(decode(jpeg + "something behind the end").rgb == image.rgb);
  CHECK(decode(jpeg + content_of("grey.jpg")).rgb == image.rgb);  // as in MPO, a camera's second image
  for (const auto between :
       {"\xff\xff\xff"sv, "\xff\xdd\0\4\0\0"sv, "\xff\xfe\0\4hi"sv})  // no restarts; a comment
    CHECK(decode(std::string(jpeg).insert(scan, between)).rgb == image.rgb);
}

TEST_CASE("image: a JPEG file of very many scans is refused before they are read") {
  using namespace std::literals;
  std::string jpeg = content_of("progressive.jpg");
  // One more bit of every mean value, 200 times.
  const std::size_t start = jpeg.rfind("\xff\xda\0\x0c\3"sv), end = jpeg.find("\xff\xc4", start);
  REQUIRE(end < jpeg.size());
  const std::string scan = jpeg.substr(start, end - start);
  for (int i = 0; i < 200; ++i) jpeg.insert(start, scan);
  contains(decode_error(jpeg), "expected a JPEG image of at most 100 scans, found more");
}

namespace {

/// `value` in `size` bytes, little-endian.
std::string little_endian(std::int64_t value, int size) {
  std::string bytes;
  for (int i = 0; i < size; ++i) bytes += static_cast<char>(value >> 8 * i & 255);
  return bytes;
}

struct Bmp {
  int header = 40, width = 4, height = 2, depth = 24, compression = 0, colours = 0;
  std::string palette_or_masks{}, pixels{};

  std::string file() const {
    const int sizes = header == 12 ? 2 : 4;
    std::string rest = little_endian(header, 4) + little_endian(width, sizes) + little_endian(height, sizes) +
                       little_endian(1, 2) + little_endian(depth, 2);
    if (header > 12) {
      rest += little_endian(compression, 4) + std::string(12, '\0') + little_endian(colours, 4) +
              std::string(4, '\0');
    }
    rest += palette_or_masks;
    if (std::ssize(rest) < header) rest.resize(static_cast<std::size_t>(header));
    const std::int64_t start = 14 + std::ssize(rest);
    return "BM" + std::string(8, '\0') + little_endian(start, 4) + rest + pixels;
  }
};

/// Masks of red, green, blue and perhaps alpha.
std::string masks(const std::vector<std::uint32_t>& bits) {
  std::string bytes;
  for (const std::uint32_t mask : bits) bytes += little_endian(mask, 4);
  return bytes;
}

/// Red of every pixel, row by row.
std::vector<int> reds(const std::string& file) {
  const Image image = decode(file);
  std::vector<int> found;
  for (std::size_t i = 0; i < image.rgb.size(); i += 3) found.push_back(image.rgb[i]);
  return found;
}

}  // namespace

TEST_CASE("image: BMP, the highest line first or last") {
  using namespace std::literals;
  Bmp bmp{.width = 1, .pixels = "\x0a\x14\x1e\0\x28\x32\x3c\0"s};
  CHECK(decode(bmp.file()).rgb == std::vector<std::uint8_t>{60, 50, 40, 30, 20, 10});
  bmp.height = -2;
  CHECK(decode(bmp.file()).rgb == std::vector<std::uint8_t>{30, 20, 10, 60, 50, 40});
  for (const int height : {0, INT_MIN}) {
    bmp.height = height;
    contains(decode_error(bmp.file()), "expected an image of at ");
  }
}

TEST_CASE("image: BMP with a palette, in every depth and header") {
  using namespace std::literals;
  const std::string four = "\1\2\3\0\4\5\6\0\7\x8\x9\0\xa\xb\xc\0"s, three = "\1\2\3\4\5\6\7\x8\x9\xa\xb\xc"s;
  Bmp bmp{.height = 1, .depth = 8, .colours = 4, .palette_or_masks = four, .pixels = "\0\3\2\4"s};
  CHECK(reds(bmp.file()) == std::vector{3, 12, 9, 0});  // the last is outside the palette
  bmp.depth = 4, bmp.pixels = "\x03\x24\0\0"s;
  CHECK(reds(bmp.file()) == std::vector{3, 12, 9, 0});
  bmp.depth = 1, bmp.pixels = "\x50\0\0\0"s;
  CHECK(reds(bmp.file()) == std::vector{3, 6, 3, 6});
  for (const int header : {52, 56, 64, 108, 124}) {
    bmp.header = header;
    bmp.palette_or_masks = std::string(static_cast<std::size_t>(header) - 40, '\0') + four;
    CHECK(reds(bmp.file()) == std::vector{3, 6, 3, 6});
  }
  Bmp oldest{
      .header = 12, .height = 1, .depth = 1, .palette_or_masks = three.substr(0, 6), .pixels = "\x50\0\0\0"s};
  CHECK(reds(oldest.file()) == std::vector{3, 6, 3, 6});
  CHECK(reds(patched(oldest.file(), 10, "\0\0\0\0"sv)) ==
        std::vector{3, 6, 3, 6});  // no place for the pixels
  CHECK(reds(patched(oldest.file(), 10, "\x1a\0\0\0"sv)) == std::vector{3, 6, 3, 6});  // that of the palette

  // Black and white in 8 bits, where PIL reads one bit.
  Bmp two{.height = 1,
          .depth = 8,
          .colours = 2,
          .palette_or_masks = "\0\0\0\0\xff\xff\xff\0"s,
          .pixels = "\0\1\1\0"s};
  CHECK(reds(two.file()) == std::vector{0, 255, 255, 0});
}

TEST_CASE("image: BMP with masks") {
  using namespace std::literals;
  const auto first = [](const Bmp& bmp) { return decode(bmp.file()).rgb; };
  using Rgb = std::vector<std::uint8_t>;
  Bmp bmp{.width = 1, .height = 1, .depth = 16, .pixels = "\x41\x04\0\0"s};  // 00001 00010 00001
  CHECK(first(bmp) == Rgb{8, 16, 8});                                        // rounded down, as PIL does it
  bmp.compression = 3;
  bmp.palette_or_masks = masks({0xF800, 0x7E0, 0x1F});
  CHECK(first(bmp) == Rgb{0, 34 * 255 / 63, 8});
  bmp.palette_or_masks = masks({0xF00, 0xF0, 0xF});
  CHECK(first(bmp) == Rgb{4 * 17, 4 * 17, 17});
  bmp.palette_or_masks = masks({0xF0F, 0xF0, 0xF});
  contains(decode_error(bmp.file()), "found a damaged one (the mask of a colour is not a run of bits)");
  bmp.palette_or_masks = masks({0xF00, 0, 0xF});
  contains(decode_error(bmp.file()), "the mask of a colour is not a run of bits");

  bmp.depth = 32, bmp.pixels = "\x0a\x14\x1e\x33"s;
  bmp.palette_or_masks = masks({0xFF0000, 0xFF00, 0xFF});
  CHECK(first(bmp) == Rgb{30, 20, 10});
  bmp.header = 56, bmp.palette_or_masks = masks({0xFF0000, 0xFF00, 0xFF, 0xFF000000});
  CHECK(first(bmp) == Rgb{210, 208, 206});  // a fifth of it, on white
  bmp.palette_or_masks = masks({0, 0, 0, 0});
  CHECK(first(bmp) == Rgb{210, 208, 206});
  bmp.compression = 0;
  CHECK(first(bmp) == Rgb{30, 20, 10});
}

TEST_CASE("image: BMP in run lengths") {
  using namespace std::literals;
  const std::string palette = "\0\0\0\0\1\1\1\0\2\2\2\0\3\3\3\0"s;
  Bmp bmp{.width = 5, .height = 4, .depth = 8, .compression = 1, .colours = 4, .palette_or_masks = palette};
  // A run and single indices; an empty line; a move; a run that is too long. The lowest line is first.
  bmp.pixels = "\2\1\0\3\1\2\3\0\0\0"s + "\0\0"s + "\0\2\3\0\1\2\0\0"s + "\7\3\0\1"s;
  const std::vector<int> expected{3, 3, 3, 3, 3, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 3};
  CHECK(reds(bmp.file()) == expected);
  const std::string whole = bmp.file();
  for (std::size_t size = 0; size < whole.size() - 2; ++size)  // the mark of the end may be missing
    CHECK(decode_error(whole.substr(0, size)).starts_with("IMAGE: expected a"));

  bmp.depth = 4, bmp.compression = 2;
  bmp.pixels = "\2\x11\0\3\x12\x30\0\0"s + "\0\0"s + "\0\2\3\0\1\x20\0\0"s + "\7\x33\0\1"s;
  CHECK(reds(bmp.file()) == expected);
  bmp.pixels = "\5\x12\0\1"s;  // ends early
  CHECK(reds(bmp.file()) == std::vector{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 1, 2, 1});
  bmp.pixels = "\0\2\xff\xff\5\x11\0\1"s;  // moves out of the image
  CHECK(reds(bmp.file()) == std::vector<int>(20));
}

TEST_CASE("image: BMP files of a kind that is not read") {
  const auto error = [](int header, int depth, int compression) {
    return decode_error(
        Bmp{.header = header, .depth = depth, .compression = compression, .pixels = std::string(64, '\0')}
            .file());
  };
  const std::string expected = "expected a BMP image without compression, or in RLE4 or RLE8, found ";
  contains(error(40, 24, 4), expected + "a JPEG image inside");
  contains(error(40, 24, 5), expected + "a PNG image inside");
  contains(error(40, 32, 11), expected + "compression 11");
  contains(error(64, 1, 3), expected + "Huffman coding");
  contains(error(64, 24, 4), expected + "run lengths of 24-bit pixels");
  contains(error(40, 64, 0), "expected a BMP image of 1, 4, 8, 16, 24 or 32 bits a pixel, found 64");
  contains(error(16, 24, 0), "expected a BMP header of 12, 40, 52, 56, 64, 108 or 124 bytes, found 16");
  contains(error(40, 4, 1), "found a damaged one (its compression does not go with its bits a pixel)");
  contains(error(40, 8, 3), "its compression does not go with its bits a pixel");
}

}  // namespace test_image
