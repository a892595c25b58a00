/* pipeline, service-class: orders and questions for the process manager beside the leader. */
#include <string.h>

#include "cli/ask.h"
#include "cli/waiting.h"

/* What a command asks, and what it waits for. */
struct pipeline_verb {
    const char *verb;
    const char *status_verb; /* answers how far it is */
    const char *subject;     /* name of the argument that tells the pipeline or template */
    bool waits;              /* knows --wait */
    enum progress_goal goal;
};

static struct pipeline_verb verb_of(enum cli_command_id id)
{
    if (id == CLI_PIPELINE_START)
        return (struct pipeline_verb){"pipeline.start", "pipeline.status", "pipeline", true, PROGRESS_READY};
    if (id == CLI_PIPELINE_FORCE_START)
        return (struct pipeline_verb){"pipeline.force-start", "pipeline.status", "pipeline", true, PROGRESS_READY};
    if (id == CLI_PIPELINE_STOP)
        return (struct pipeline_verb){"pipeline.stop", "pipeline.status", "pipeline", true, PROGRESS_STOPPED};
    if (id == CLI_PIPELINE_STATUS)
        return (struct pipeline_verb){"pipeline.status", "pipeline.status", "pipeline", true, PROGRESS_READY};
    if (id == CLI_SERVICE_CLASS_START)
        return (struct pipeline_verb){"service-class.start", "service-class.status", "template", true, PROGRESS_READY};
    if (id == CLI_SERVICE_CLASS_STOP)
        return (struct pipeline_verb){"service-class.stop", "service-class.status", "template", true, PROGRESS_STOPPED};
    if (id == CLI_SERVICE_CLASS_STATUS)
        return (struct pipeline_verb){"service-class.status", "service-class.status", "template", false,
                                      PROGRESS_READY};
    return (struct pipeline_verb){"pipeline.list", "pipeline.list", "pipeline", false, PROGRESS_READY};
}

static Gemel__AdminRequest *build(struct cli *cli, const struct pipeline_verb *verb, const char *name)
{
    Gemel__AdminRequest *request = ask_request(cli, name);
    if (cli->invocation->argument_count > 0)
        request_add(&cli->report.arena, request, verb->subject, cli->invocation->arguments[0]);
    ask_add_option(cli, request, CLI_OPTION_INSTANCE);
    ask_add_option(cli, request, CLI_OPTION_PROCESS);
    return request;
}

void command_pipeline(struct cli *cli)
{
    const struct pipeline_verb verb = verb_of(cli_command_id(cli->invocation->command));
    const bool wait = verb.waits && invocation_has(cli->invocation, CLI_OPTION_WAIT);
    /* A status that waits only waits: what it found before would be its exit code. */
    if (wait && strcmp(verb.verb, verb.status_verb) == 0) {
        (void)waiting_for(cli, build(cli, &verb, verb.status_verb), cli->invocation->arguments[0], verb.goal);
        return;
    }
    if (!ask_control_take(cli, build(cli, &verb, verb.verb), COMMAND_TIMEOUT_MS) || !wait)
        return;
    (void)waiting_for(cli, build(cli, &verb, verb.status_verb), cli->invocation->arguments[0], verb.goal);
}
