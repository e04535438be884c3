/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Records as the kernel side or a forged recording may contain them: the check, and the whole
 * pipeline behind it, with a recording of all flows or of those of a user. The input is a list of
 * records; half of them get a correct length.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "format/format.h"
#include "watch/pipeline.h"
#include "capture/records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct sink *sink;
static FILE *nowhere;

static void keep(void *context, const struct record *record)
{
	(void)context;
	if (!record_valid(record, record->len))
		abort(); /* masking must leave a record valid */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct filter filters[] = {{.all = true}, {.all = true, .user = "0"}};
	static const struct pipeline_hooks hooks = {.on_record = keep};
	struct pipeline *pipeline;

	if (!nowhere)
		nowhere = fopen("/dev/null", "w");
	if (!sink && nowhere)
		sink = sink_lines_new(nowhere, event_json);
	pipeline = sink ? pipeline_new(sink, &filters[size & 1], &hooks) : NULL;
	if (!pipeline)
		return 0;
	while (size > sizeof(struct record) + 2) {
		uint16_t len = (uint16_t)(data[0] | data[1] << 8);
		struct record *record;

		data += 2;
		size -= 2;
		len = len < sizeof(*record) ? sizeof(*record) : len;
		len = len > size ? (uint16_t)(size > UINT16_MAX ? UINT16_MAX : size) : len;
		record = malloc(len);
		if (!record)
			break;
		memcpy(record, data, len);
		if (record->type < 0x8000)
			record->len = len;
		if (record_valid(record, len)) {
			pipeline_tick(pipeline, record->time_ns);
			pipeline_record(pipeline, record);
		}
		free(record);
		data += len;
		size -= len;
	}
	pipeline_finish(pipeline, "end");
	pipeline_free(pipeline);
	return 0;
}
