// Inputs from files, outputs to files and to the terminal.
#pragma once
#include <string>

#include "../core/array.h"
#include "../core/error.h"

namespace tl::cli {

// A file whole; false, with the reason, where it cannot be read or has more than `limit` bytes.
bool read_file(const char* path, size_t limit, std::string& content, Error& error);
bool read_stream(int file, size_t limit, std::string& content, Error& error);  // to its end

// An input of this dtype: .npy (of any dtype that casts to it), .json (nested lists of numbers), or
// raw elements in the shape of `like`. A contiguous array, or not ok().
Array read_input(const std::string& path, const View& like, bool shaped, Error& error);

// NumPy's format for .npy, else raw elements; beside the place and moved there when whole.
bool write_output(const std::string& path, const Array& array, Error& error);

// Nested lists, as Python and JSON write them. Floats have as many digits as tell them apart.
void append_json(const Array& array, std::string& text);
void append_json_text(std::string_view text, std::string& out);  // quoted

}  // namespace tl::cli
