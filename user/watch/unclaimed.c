/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Submissions that no relayed mail was found to be: who ran sendmail, and when. The mail may have
 * been delivered on this host, may wait in the queue, or may have left in a session that cannot be
 * read. So this is no alert; if it leaves in the clear, that is one.
 */
#include <stdlib.h>

#include "event/submitters.h"
#include "watch/pipeline_state.h"

/* A sendmail without a mail that was seen to leave: the relay's session is dark, or far off. */
static void tell_unclaimed(void *context, const struct unclaimed *unclaimed)
{
	struct pipeline *pipeline = context;
	struct event *event = compose_event(pipeline, EVENT_SUBMISSION, unclaimed->exit_ns);

	if (!event)
		return;
	event->verdict = VERDICT_OBSERVED;
	event->start_ns -= (int64_t)(unclaimed->exit_ns - unclaimed->exec_ns);
	compose_id(pipeline, event->id, unclaimed->exec_ns, EVENT_SUBMISSION,
		   unclaimed->submitter->task.pid);
	event->senders[event->sender_count++] = sender_ref(unclaimed->submitter);
	event->origin = calloc(1, sizeof(*event->origin));
	if (event->origin)
		event->origin->mta = unclaimed->mta;
	hold_event(pipeline, event);
}

void origin_tell(struct pipeline *pipeline, bool end)
{
	if (pipeline->submitters)
		pipeline->outputs_lost += submitters_tell(pipeline->submitters, pipeline->now_ns,
							  end, tell_unclaimed, pipeline);
}
