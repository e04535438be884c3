/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The last step of an event: privacy is applied, then the sink writes it. */
#include "policy/privacy.h"
#include "watch/pipeline_state.h"

static int write_event(struct pipeline *pipeline, struct event *event)
{
	if (!pipeline->privacy || privacy_apply(pipeline->privacy, event))
		return pipeline->sink->write(pipeline->sink, event);
	pipeline->outputs_lost++; /* no memory: an event that cannot be masked is not written */
	return 0;
}

void tell_event(struct pipeline *pipeline, struct event *event)
{
	int error = pipeline->error ? pipeline->error : write_event(pipeline, event);

	if (error) {
		pipeline->stats.events_lost++;
		pipeline->error = error;
	}
	event_free(event);
}
