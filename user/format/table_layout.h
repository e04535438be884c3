/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The columns of the table: which ones a terminal has room for, and how wide each is. */
#ifndef SMTPSNOOP_TABLE_LAYOUT_H
#define SMTPSNOOP_TABLE_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>

/* ROW(constant, heading, right-aligned), in the order of a line. */
#define TABLE_COLUMNS(ROW)                                                                         \
	ROW(COLUMN_MARK, "", false) /* "!": an alert */                                            \
	ROW(COLUMN_TIME, "TIME", false)                                                            \
	ROW(COLUMN_RESULT, "RESULT", false)                                                        \
	ROW(COLUMN_PID, "PID", true)                                                               \
	ROW(COLUMN_PROCESS, "PROCESS", false)                                                      \
	ROW(COLUMN_USER, "USER", false)                                                            \
	ROW(COLUMN_UNIT, "UNIT", false)                                                            \
	ROW(COLUMN_DESTINATION, "DESTINATION", false)                                              \
	ROW(COLUMN_FROM, "FROM", false)                                                            \
	ROW(COLUMN_TO, "TO", false)                                                                \
	ROW(COLUMN_SIZE, "SIZE", true)

#define COLUMN_CONSTANT(constant, heading, right) constant,
enum table_column { TABLE_COLUMNS(COLUMN_CONSTANT) COLUMN_COUNT };
#undef COLUMN_CONSTANT

struct table_layout {
	size_t width[COLUMN_COUNT]; /* 0: the column is left out */
	bool whole;		    /* a cell that is wider than its column is not shortened */
};

/*
 * For a line of `width` columns, and one blank between two of the table. 0: there is no limit, as
 * in a file; every column is there, and nothing is shortened. `units`: some row has a unit.
 */
struct table_layout table_layout(size_t width, bool units);

/* The heading, a static string, and whether the column is aligned to the right. */
const char *table_heading(enum table_column column, bool *right);

#endif
