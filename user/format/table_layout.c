/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation. A list of wishes, the most important first, says how wide a column should
 * become. Each wish is granted as far as the line has room: a column that is already there grows by
 * what is left; a new one needs its whole width. Behind a column that does not fit, no other one is
 * added, so a wider terminal never shows fewer columns. A column without content (UNIT where no
 * process has one) takes no room.
 */
#include "format/table_layout.h"

#include <string.h>

struct wish {
	enum table_column column;
	size_t width;
};

/*
 * Who sent it and to whom comes first. The recipient needs about 22 columns for its domain. The
 * destination and the sender address, which the process chose, come when all that is readable.
 */
static const struct wish wishes[] = {
	{COLUMN_PID, 7},	  {COLUMN_PROCESS, 10},	    {COLUMN_MARK, 1},
	{COLUMN_RESULT, 8},	  {COLUMN_TO, 16},	    {COLUMN_TIME, 8},
	{COLUMN_TO, 22},	  {COLUMN_USER, 8},	    {COLUMN_SIZE, 4},
	{COLUMN_PROCESS, 14},	  {COLUMN_DESTINATION, 15}, {COLUMN_FROM, 16},
	{COLUMN_DESTINATION, 19}, {COLUMN_PROCESS, 20},	    {COLUMN_TO, 26},
	{COLUMN_DESTINATION, 21}, {COLUMN_USER, 10},	    {COLUMN_UNIT, 16},
	{COLUMN_FROM, 24},	  {COLUMN_TO, 32},	    {COLUMN_PROCESS, 28},
	{COLUMN_UNIT, 26},	  {COLUMN_TO, 40},	    {COLUMN_FROM, 36},
	{COLUMN_USER, 16},	  {COLUMN_DESTINATION, 47}, {COLUMN_PROCESS, 40},
};

/* Grants the wish as far as there is room. False: it is a new column that does not fit. */
static bool grant(struct table_layout *layout, const struct wish *wish, size_t *room)
{
	size_t now = layout->width[wish->column];
	size_t wanted = wish->width - now;

	if (!now && *room < wanted + 1)
		return false;
	if (wanted > *room)
		wanted = *room;
	layout->width[wish->column] += wanted;
	*room -= now ? wanted : wanted + 1;
	return true;
}

static struct table_layout unlimited(void)
{
	struct table_layout layout = {.whole = true,
				      .width = {1, 8, 8, 7, 20, 10, 22, 21, 26, 26, 4}};

	return layout;
}

struct table_layout table_layout(size_t width, bool units)
{
	struct table_layout layout = {.whole = false};
	size_t room = width + 1; /* the first column has no blank in front */
	bool full = false;	 /* a column did not fit, so no later one is added */

	if (!width)
		return unlimited();
	for (size_t i = 0; i < sizeof(wishes) / sizeof(wishes[0]); i++) {
		const struct wish *wish = &wishes[i];

		if (wish->column == COLUMN_UNIT && !units)
			continue;
		if (layout.width[wish->column] || !full)
			full = !grant(&layout, wish, &room) || full;
	}
	return layout;
}

const char *table_heading(enum table_column column, bool *right)
{
#define COLUMN_ROW(constant, heading, right) [constant] = {heading, right},
	static const struct {
		const char *heading;
		bool right;
	} columns[] = {TABLE_COLUMNS(COLUMN_ROW)};
#undef COLUMN_ROW

	*right = columns[column].right;
	return columns[column].heading;
}
