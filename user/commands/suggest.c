/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The command suggest. Theory of operation: an exclusion is worth drafting for what comes again.
 * Whoever mails chooses nearly everything about it, so everything that is kept is bounded, and an
 * attacker's thousand senders must not push out the mailer that mails once a day.
 *
 * The events are read twice. The first time, each message counts a day of its kind (executable,
 * user, unit, who handed it to an MTA, scheduler, script and sender) in a table of fixed size
 * (suggest_kinds.h). The kinds that were seen on DAYS_MIN days are selected, a few of each process
 * and of each user. The second time, their messages are gathered (suggest_stream.h). Each becomes a
 * draft (suggest_draft.h), which is read back as a configuration: so it is valid, and what
 * config_advise() says of it is what check will say.
 *
 * The drafts with the fewest warnings come first, then those of programs that mail little else, and
 * those seen on most days. What is not drafted is said, one line for each reason.
 *
 * What is written comes from events, and so from whoever sent: it is quoted, its patterns'
 * characters are escaped, and it is a draft for a person to read.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/report.h"
#include "base/text.h"
#include "commands/advice.h"
#include "commands/commands.h"
#include "commands/event_lines.h"
#include "commands/suggest_draft.h"
#include "commands/suggest_kinds.h"
#include "commands/suggest_library.h"
#include "commands/suggest_message.h"
#include "commands/suggest_stream.h"
#include "config/config.h"
#include "policy/facts_json.h"

#define DAYS_MIN	   3U
#define STREAMS_MAX	   1024U
#define STREAMS_OF_PROCESS 16U
#define STREAMS_OF_USER	   128U
#define MESSAGES_MAX	   1000000U /* of all streams; 24 MB */
#define DRAFTS_MAX	   50U
#define DRAFTS_OF_PROCESS  5U
#define DAY_S		   86400

static const char *const reasons[LEFT_COUNT] = {
	[LEFT_WRITABLE] = "WARNING: any user can put a program there",
	[LEFT_NO_FILE] = "WARNING: the program was deleted or is only in memory",
	[LEFT_FEW_DAYS] = "seen on fewer than 3 days with this program, user and sender",
	[LEFT_VARY] =
		"relays or recipients' domains did not come again, or are a public provider's",
	[LEFT_OF_PROCESS] = "more senders of one program and user than are drafted (5)",
	[LEFT_TOO_MANY] = "more drafts than are written (50)",
	[LEFT_NOT_WHOLE] = "not seen completely, or sent by several processes",
	[LEFT_NOT_KNOWN] = "program or user are not known; a process may be older than the watch",
	[LEFT_FOREIGN] = "from a container or other namespaces, or under a changed user",
	[LEFT_RELAYED] = "relayed by an MTA, and nobody knows for whom",
	[LEFT_PROXY] = "sent through a proxy",
	[LEFT_SESSION] = "sessions whose commands carry data",
	[LEFT_ODD] = "a value is longer than 512 bytes or has characters that cannot be shown",
};

_Static_assert(DAYS_MIN == 3 && DRAFTS_OF_PROCESS == 5 && DRAFTS_MAX == 50 &&
		       STREAM_TEXT_MAX == 512,
	       "the reasons name these");

struct left_out {
	unsigned long messages;
	char *example; /* owned; "/usr/bin/curl of www-data"; NULL: none yet */
};

struct suggestion {
	uint64_t seed; /* so that nobody can choose what collides */
	struct kinds kinds;
	struct stream *streams; /* owned; by hash */
	size_t stream_count;
	size_t room; /* for messages */
	struct left_out left_out[LEFT_COUNT];
	unsigned long events;
	bool second; /* the second time that the events are read */
	bool failed; /* no memory */
};

/* ---- One message ----------------------------------------------------------------------------- */

static void leave_out(struct suggestion *suggestion, enum left left, struct span executable,
		      struct span user, unsigned long messages)
{
	struct left_out *left_out = &suggestion->left_out[left];
	struct text example = {0};

	left_out->messages += messages;
	if (left_out->example || !messages)
		return;
	text_add_visible(&example, executable.len ? executable : span_of("?"));
	text_add_string(&example, " of ");
	text_add_visible(&example, user.len ? user : span_of("?"));
	left_out->example = example.data;
}

static int by_hash(const void *a, const void *b)
{
	uint64_t first = ((const struct stream *)a)->hash,
		 second = ((const struct stream *)b)->hash;

	return first < second ? -1 : first > second;
}

static void gather(struct suggestion *suggestion, const struct facts *facts,
		   const struct identity *identity)
{
	const struct stream wanted = {.hash = identity->kind};
	struct stream *stream = suggestion->stream_count
					? bsearch(&wanted, suggestion->streams,
						  suggestion->stream_count, sizeof(wanted), by_hash)
					: NULL;
	const struct kind *kind = stream ? NULL : kinds_find(&suggestion->kinds, identity->kind);

	if (stream)
		stream_add(stream, identity->parts, facts, &suggestion->room);
	else
		leave_out(suggestion,
			  kind && days_count(&kind->days) >= DAYS_MIN ? LEFT_OF_PROCESS
								      : LEFT_FEW_DAYS,
			  identity->parts[PART_EXECUTABLE], identity->parts[PART_USER], 1);
}

static void take_message(struct suggestion *suggestion, const json_t *event,
			 const struct facts *facts)
{
	struct identity identity;
	enum left left = message_identify(suggestion->seed, event, facts, &identity);

	suggestion->events += !suggestion->second;
	if (suggestion->second && !left) {
		gather(suggestion, facts, &identity);
	} else if (!suggestion->second && !left) {
		int32_t day = (int32_t)(facts->end_s / DAY_S);

		kinds_add(&suggestion->kinds, identity.kind, identity.process, identity.user, day);
		kinds_add(&suggestion->kinds, identity.process, identity.process, identity.user,
			  day);
	} else if (!suggestion->second) {
		leave_out(suggestion, left, json_text_at(event, "process.executable"),
			  identity.parts[PART_USER], 1);
	}
}

/* A provisional event comes again; what is only observed is no alert without an exclusion. */
static bool needs_no_draft(const json_t *event)
{
	struct span verdict = json_text_at(event, "smtpsnoop.verdict");

	return json_is_false(json_at(event, "smtpsnoop.final")) ||
	       (verdict.data && span_equal(verdict, span_of("observed")));
}

static void take_event(void *context, const json_t *event)
{
	struct facts facts;

	if (needs_no_draft(event) || !facts_of_json(&facts, event))
		return;
	take_message(context, event, &facts);
	facts_free(&facts);
}

/* ---- Reading twice --------------------------------------------------------------------------- */

/* What can be read twice: the file itself, or a copy of a pipe. NULL: errno says why not. */
static FILE *rereadable(FILE *file)
{
	char block[65536];
	FILE *copy;
	size_t len;

	if (fseeko(file, 0, SEEK_CUR) == 0)
		return file;
	copy = tmpfile();
	while (copy && (len = fread(block, 1, sizeof(block), file)) > 0) {
		if (fwrite(block, 1, len, copy) != len)
			break;
	}
	if (copy && (ferror(copy) || fflush(copy) || fseeko(copy, 0, SEEK_SET))) {
		fclose(copy);
		copy = NULL;
	}
	fclose(file);
	return copy;
}

struct source {
	const char *name;
	FILE *file; /* owned; NULL: it cannot be read (reported) */
};

static void source_open(struct source *source, const char *path)
{
	FILE *file = path ? fopen(path, "re") : stdin;

	source->name = path ? path : "standard input";
	if (!file) {
		report(source->name, "cannot open: %s", strerror(errno));
		return;
	}
	source->file = rereadable(file);
	if (!source->file)
		report(source->name, "cannot keep a copy to read it twice: %s", strerror(errno));
}

/* Returns whether every line of all sources was an event. */
static bool read_all(struct suggestion *suggestion, struct source *sources, size_t count)
{
	bool good = true;

	for (size_t i = 0; i < count; i++) {
		bool read = sources[i].file &&
			    event_lines_read(sources[i].file, sources[i].name, suggestion->second,
					     take_event, suggestion);

		good = good && read;
		if (sources[i].file && !suggestion->second)
			rewind(sources[i].file);
	}
	return good;
}

static bool select_streams(struct suggestion *suggestion)
{
	const struct kind *selected[STREAMS_MAX];
	size_t count = kinds_select(&suggestion->kinds, DAYS_MIN, STREAMS_OF_PROCESS,
				    STREAMS_OF_USER, selected, STREAMS_MAX);

	suggestion->streams =
		count != SIZE_MAX ? calloc(count + 1, sizeof(*suggestion->streams)) : NULL;
	if (!suggestion->streams)
		return false;
	for (size_t i = 0; i < count; i++) {
		suggestion->streams[i].hash = selected[i]->hash;
		suggestion->streams[i].process = selected[i]->process;
	}
	suggestion->stream_count = count;
	qsort(suggestion->streams, count, sizeof(*suggestion->streams), by_hash);
	return true;
}

/* ---- Choosing and writing -------------------------------------------------------------------- */

struct draft {
	struct stream *stream;
	struct text warnings;
	size_t warning_count;
	size_t weight; /* what speaks against it */
};

static void on_warning(void *context, const struct exclusion *exclusion, const char *advice)
{
	struct draft *draft = context;

	(void)exclusion;
	draft->warning_count++;
	text_add_string(&draft->warnings, "  # WARNING: ");
	text_add_visible(&draft->warnings, span_of(advice));
	text_add_string(&draft->warnings, "\n");
}

/* Drafts the stream, and reads the draft as check would. The reason if it cannot be. */
static enum left draft_new(struct draft *draft, struct stream *stream)
{
	struct text text = {0};
	char error[CONFIG_ERROR_MAX];
	struct config *config = NULL;
	enum left left = LEFT_VARY;

	*draft = (struct draft){.stream = stream};
	text_add_string(&text, "exclusions:\n");
	if (draft_write(&text, stream, "draft")) {
		config = config_parse((struct span){text.data, text.len}, "draft", error);
		left = config ? LEFT_NOT : LEFT_ODD;
	}
	if (config)
		config_advise(config, time(NULL), NULL, on_warning, draft);
	config_free(config);
	text_free(&text);
	return left;
}

/* How many messages its process sent beside those of the stream. */
static unsigned long other_messages(const struct suggestion *suggestion,
				    const struct stream *stream)
{
	const struct kind *all = kinds_find(&suggestion->kinds, stream->process);

	return all && all->messages > stream->count ? all->messages - stream->count : 0;
}

static bool is_of_the_system(const char *path)
{
	static const char *const folders[] = {"/usr/bin/", "/usr/sbin/", "/usr/lib",
					      "/bin/",	   "/sbin/",	 "/lib"};

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		if (strncmp(path, folders[i], strlen(folders[i])) == 0)
			return true;
	}
	return false;
}

/*
 * What speaks against a draft. The warnings count most; then that its process mostly sends other
 * mail; then that it runs as root, and that its program does not belong to the system.
 */
static size_t weight_of(const struct suggestion *suggestion, const struct draft *draft)
{
	const struct stream *stream = draft->stream;

	return (draft->warning_count + stream->encrypted) * 4 +
	       (other_messages(suggestion, stream) > stream->count ? 2U : 0U) +
	       (strcmp(stream->parts[PART_USER], "root") == 0) +
	       !is_of_the_system(stream->parts[PART_EXECUTABLE]);
}

static int by_trust(const void *a, const void *b)
{
	const struct draft *first = a, *second = b;
	unsigned int days = days_count(&first->stream->days),
		     other_days = days_count(&second->stream->days);

	if (first->weight != second->weight)
		return first->weight < second->weight ? -1 : 1;
	if (days != other_days)
		return days > other_days ? -1 : 1;
	if (first->stream->count != second->stream->count)
		return first->stream->count > second->stream->count ? -1 : 1;
	return by_hash(first->stream, second->stream);
}

static void drop(struct suggestion *suggestion, struct draft *draft, enum left left)
{
	const struct stream *stream = draft->stream;

	if (stream->count && stream->parts[PART_EXECUTABLE] && stream->parts[PART_USER])
		leave_out(suggestion, left, span_of(stream->parts[PART_EXECUTABLE]),
			  span_of(stream->parts[PART_USER]), stream->count);
	text_free(&draft->warnings);
}

static bool is_same_process(const struct draft *a, const struct draft *b)
{
	return a->stream->process == b->stream->process;
}

/* Keeps the most trustworthy drafts, of each process and in all. Returns how many. */
static size_t cap(struct suggestion *suggestion, struct draft *drafts, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		size_t same = 0;

		for (size_t j = 0; j < kept; j++)
			same += is_same_process(&drafts[j], &drafts[i]);
		if (same >= DRAFTS_OF_PROCESS)
			drop(suggestion, &drafts[i], LEFT_OF_PROCESS);
		else if (kept == DRAFTS_MAX)
			drop(suggestion, &drafts[i], LEFT_TOO_MANY);
		else
			drafts[kept++] = drafts[i];
	}
	return kept;
}

/* How many messages of its process are in no draft. */
static unsigned long not_drafted(const struct suggestion *suggestion, const struct draft *drafts,
				 size_t count, const struct draft *draft)
{
	unsigned long others = other_messages(suggestion, draft->stream);

	for (size_t i = 0; i < count; i++) {
		if (&drafts[i] != draft && is_same_process(&drafts[i], draft))
			others -=
				others < drafts[i].stream->count ? others : drafts[i].stream->count;
	}
	return others;
}

static void write_draft(struct text *out, const struct suggestion *suggestion,
			const struct draft *drafts, size_t count, size_t number)
{
	const struct draft *draft = &drafts[number];
	struct span base = text_basename(span_of(draft->stream->parts[PART_EXECUTABLE]));
	unsigned long others = not_drafted(suggestion, drafts, count, draft);
	struct text name = {0};

	text_add(&name, base);
	text_add_format(&name, "-%zu", number + 1);
	draft_comment(out, draft->stream);
	if (others)
		text_add_format(out,
				"  # The same program and user sent %lu other message%s, which are "
				"not drafted.\n",
				others, others == 1 ? "" : "s");
	text_add(out, (struct span){draft->warnings.data, draft->warnings.len});
	draft_write(out, draft->stream, name.data ? name.data : "draft");
	text_add_string(out, "\n");
	out->failed = out->failed || name.failed || draft->warnings.failed;
	text_free(&name);
}

static void write_head(struct text *out, const struct suggestion *suggestion)
{
	text_add_format(out,
			"# Drafted by smtpsnoop suggest from %lu message%s. Review each exclusion "
			"before you use it:\n"
			"# whoever can run a program as the named user passes, within the limits.\n"
			"# The most trustworthy ones come first. smtpsnoop check gives the same "
			"warnings.\n",
			suggestion->events, suggestion->events == 1 ? "" : "s");
	for (int i = 0; i < LEFT_COUNT; i++) {
		const struct left_out *left = &suggestion->left_out[i];

		if (left->messages)
			text_add_format(out, "# not drafted: %lu message%s: %s (%.300s%s)\n",
					left->messages, left->messages == 1 ? "" : "s", reasons[i],
					left->example ? left->example : "?",
					left->messages == 1 ? "" : ", ...");
	}
	if (suggestion->kinds.forgotten)
		text_add_format(out, "# %lu kinds of mail were forgotten: there are more than %u\n",
				suggestion->kinds.forgotten, KINDS_MAX);
}

/* Drafts every stream, the most trustworthy first. Returns how many drafts there are. */
static size_t draft_all(struct suggestion *suggestion, struct draft *drafts)
{
	size_t count = 0;

	for (size_t i = 0; i < suggestion->stream_count; i++) {
		struct stream *stream = &suggestion->streams[i];
		struct draft *draft = &drafts[count];
		enum left left;

		suggestion->failed = suggestion->failed || stream->failed;
		if (!stream->count || stream->failed)
			continue;
		left = draft_new(draft, stream);
		if (left)
			drop(suggestion, draft, left);
		else
			draft->weight = weight_of(suggestion, draft);
		count += !left;
	}
	qsort(drafts, count, sizeof(*drafts), by_trust);
	return cap(suggestion, drafts, count);
}

static void write_all(struct suggestion *suggestion)
{
	struct draft *drafts = calloc(suggestion->stream_count + 1, sizeof(*drafts));
	struct text out = {0};
	size_t count = drafts ? draft_all(suggestion, drafts) : 0;

	write_head(&out, suggestion);
	text_add_string(&out, count ? "exclusions:\n" : "exclusions: []\n");
	for (size_t i = 0; i < count; i++)
		write_draft(&out, suggestion, drafts, count, i);
	for (size_t i = 0; i < count; i++)
		text_free(&drafts[i].warnings);
	suggestion->failed = suggestion->failed || out.failed || !drafts;
	if (out.data && !suggestion->failed)
		fputs(out.data, stdout);
	free(drafts);
	text_free(&out);
}

/* ---- The command ----------------------------------------------------------------------------- */

static bool suggestion_init(struct suggestion *suggestion)
{
	*suggestion = (struct suggestion){.room = MESSAGES_MAX};
	suggestion->kinds.table = calloc(KINDS_MAX, sizeof(*suggestion->kinds.table));
	if (getrandom(&suggestion->seed, sizeof(suggestion->seed), 0) < 0)
		suggestion->seed = (uint64_t)time(NULL);
	return suggestion->kinds.table;
}

static void suggestion_free(struct suggestion *suggestion)
{
	for (size_t i = 0; i < suggestion->stream_count; i++)
		stream_free(&suggestion->streams[i]);
	free(suggestion->streams);
	for (int i = 0; i < LEFT_COUNT; i++)
		free(suggestion->left_out[i].example);
	free(suggestion->kinds.table);
}

/* Returns whether all was read. */
static bool suggest(struct suggestion *suggestion, struct source *sources, size_t count)
{
	bool good = read_all(suggestion, sources, count);

	if (!good && !suggestion->events) /* reported; there is nothing to draft from */
		return false;
	if (!select_streams(suggestion)) {
		suggestion->failed = true;
		return false;
	}
	suggestion->second = true;
	read_all(suggestion, sources, count);
	write_all(suggestion);
	return good;
}

int command_suggest(const struct options *options)
{
	struct suggestion suggestion;
	struct source *sources;
	size_t count = 0;
	bool good;

	if (options->library)
		return suggest_library(options->files[0]);
	while (options->files[count])
		count++;
	sources = calloc(count + 1, sizeof(*sources));
	if (!sources)
		return STATUS_FAILED;
	for (size_t i = 0; i < (count ? count : 1); i++)
		source_open(&sources[i], options->files[i]);
	count = count ? count : 1;
	good = suggestion_init(&suggestion);
	suggestion.failed = !good;
	good = good && suggest(&suggestion, sources, count);
	if (suggestion.failed)
		report("suggest", "nothing was drafted: %s", strerror(ENOMEM));
	suggestion_free(&suggestion);
	for (size_t i = 0; i < count; i++) {
		if (sources[i].file && sources[i].file != stdin)
			fclose(sources[i].file);
	}
	free(sources);
	errno = 0;
	if (fflush(stdout))
		return command_output_failed(errno ? -errno : -EIO);
	return good && !suggestion.failed ? STATUS_DONE : STATUS_FAILED;
}
