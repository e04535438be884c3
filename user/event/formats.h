/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The formats that an event can be written in, one row each. This is the only list of them: the
 * command line, the configuration, the outputs and the writers (format/) all read it. It is in this
 * folder because the configuration, which comes before the writers, needs the names.
 *
 * To add a format: add a row, and write its function in format/ (format/format.h declares it).
 */
#ifndef SMTPSNOOP_FORMATS_H
#define SMTPSNOOP_FORMATS_H

#include <stdbool.h>
#include <stddef.h>

/* Where a format can be used. */
enum format_place {
	FORMAT_ON_TERMINAL = 1 << 0, /* option -o of watch, record and replay */
	FORMAT_IN_FILES = 1 << 1,    /* outputs of type json and stdout; option -o of run */
	FORMAT_BY_SYSLOG = 1 << 2,   /* outputs of type syslog */
	FORMAT_BY_JOURNALD = 1 << 3, /* outputs of type journald, which have no key `format` */
};

/*
 * ROW(constant, name, writer, places). The name is the word of option -o and of the key `format`;
 * NULL: nobody can name it. The writer is a format_fn; NULL: event_table.c writes it, because it
 * needs to know the terminal.
 */
#define FORMATS(ROW)                                                                               \
	ROW(FORMAT_JSON, "json", event_json,                                                       \
	    FORMAT_ON_TERMINAL | FORMAT_IN_FILES | FORMAT_BY_SYSLOG)                               \
	ROW(FORMAT_CEF, "cef", event_cef, FORMAT_ON_TERMINAL | FORMAT_IN_FILES | FORMAT_BY_SYSLOG) \
	ROW(FORMAT_SENTINEL, "sentinel", event_sentinel, FORMAT_ON_TERMINAL | FORMAT_IN_FILES)     \
	ROW(FORMAT_JOURNAL, NULL, event_journal, FORMAT_BY_JOURNALD)                               \
	ROW(FORMAT_TABLE, "table", NULL, FORMAT_ON_TERMINAL)                                       \
	ROW(FORMAT_WIDE, "wide", NULL, FORMAT_ON_TERMINAL)

/* The first row is JSON, so that a zeroed struct output_config means JSON. */
#define FORMAT_CONSTANT(constant, name, writer, places) constant,
enum output_format { FORMATS(FORMAT_CONSTANT) FORMAT_COUNT };
#undef FORMAT_CONSTANT

/* A static string; NULL: nobody can name this format. */
const char *format_name(enum output_format format);

/* True if the format can be used at one or more of `places` (enum format_place). */
bool format_fits(enum output_format format, unsigned int places);

/* The format with this name that can be used at one of `places`. False: there is no such format. */
bool format_find(const char *name, unsigned int places, enum output_format *format);

/* The names for `places`, for a message: "json, cef or sentinel". Cut to `size` bytes. */
void format_list(char *list, size_t size, unsigned int places);

#endif
