/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "format/format.h"

format_fn format_writer(enum output_format format)
{
	static const format_fn writers[FORMAT_COUNT] = {
#define FORMAT_WRITER(constant, name, writer, places) [constant] = (writer),
		FORMATS(FORMAT_WRITER)
#undef FORMAT_WRITER
	};

	return writers[format];
}
