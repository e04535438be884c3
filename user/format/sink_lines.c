/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A sink that writes a line for each event to a terminal, a pipe or a file, in any format. */
#include <errno.h>
#include <stdlib.h>

#include "format/format.h"

static char buffer[64U << 10]; /* of standard output, which outlives the sink */

struct lines_sink {
	struct sink sink;
	FILE *out;
	format_fn format;
	struct text line; /* the current event; owned */
};

static int lines_write(struct sink *base, const struct event *event)
{
	struct lines_sink *sink = (struct lines_sink *)base;
	struct text *line = &sink->line;

	text_clear(line);
	sink->format(line, event);
	text_add_string(line, "\n");
	if (line->failed) { /* part of a line is of no use */
		line->failed = false;
		return -ENOMEM;
	}
	errno = 0;
	if (fwrite(line->data, 1, line->len, sink->out) != line->len)
		return errno ? -errno : -EIO;
	base->bytes += line->len;
	return 0;
}

static int lines_flush(struct sink *base)
{
	errno = 0;
	return fflush(((struct lines_sink *)base)->out) ? (errno ? -errno : -EIO) : 0;
}

static int lines_finish(struct sink *base, const struct event_stats *stats)
{
	(void)stats; /* the event "stopped" has them */
	return lines_flush(base);
}

static void lines_free(struct sink *base)
{
	struct lines_sink *sink = (struct lines_sink *)base;

	text_free(&sink->line);
	free(sink);
}

/* Nothing was written to `out` before: setvbuf() needs that. */
struct sink *sink_lines_new(FILE *out, format_fn format)
{
	struct lines_sink *sink = calloc(1, sizeof(*sink));

	if (!sink)
		return NULL;
	sink->sink = (struct sink){.write = lines_write,
				   .flush = lines_flush,
				   .finish = lines_finish,
				   .free = lines_free};
	if (out == stdout)
		setvbuf(out, buffer, _IOFBF, sizeof(buffer));
	sink->out = out;
	sink->format = format;
	return &sink->sink;
}
