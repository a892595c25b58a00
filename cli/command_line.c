#include "cli/command_line.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/layout/model/near.h"
#include "common/yaml/scalar.h"

enum {
    NUMBER_MAX = 1000000000,
    DURATION_DAYS_MAX = 30,
    MS_PER_DAY = 86400000,
    NS_PER_MS = 1000000,
    WORD_BYTES = 64 /* an option's name that is longer is no option's name */
};

/* What one reading knows. */
struct reading {
    int argc;
    char *const *argv;
    int noun_at; /* position of the noun in argv */
    int verb_at; /* position of the verb; 0: none */
    struct invocation *invocation;
    struct error *error;
};

/* The name of an option token without dashes and value; false when the token is none. */
static bool option_name(const char *token, char name[WORD_BYTES])
{
    if (strncmp(token, "--", 2) != 0 || token[2] == '\0')
        return false;
    const size_t length = strcspn(token + 2, "=");
    (void)text_copy(name, WORD_BYTES, token + 2);
    if (length < WORD_BYTES)
        name[length] = '\0';
    return true;
}

/* An option by name; with a command, the one that it takes when several share the name. */
static int find_option(const char *name, const struct cli_command *command)
{
    int found = -1;
    for (int i = 0; i < CLI_OPTION_COUNT; i++) {
        if (strcmp(cli_option_text((enum cli_option)i)->name, name) != 0)
            continue;
        if (command == NULL || cli_command_takes(command, (enum cli_option)i))
            return i;
        found = i;
    }
    return found;
}

/* Options of one name have one shape, so this needs no command. */
static bool takes_next_token(const char *token)
{
    char name[WORD_BYTES];
    if (!option_name(token, name) || strchr(token, '=') != NULL)
        return false;
    const int option = find_option(name, NULL);
    return option >= 0 && cli_option_text((enum cli_option)option)->kind != CLI_OPTION_SWITCH;
}

static int unknown_noun(const struct reading *reading, const char *typed)
{
    struct near near;
    near_init(&near, typed);
    for (size_t i = 0; i < cli_noun_count(); i++)
        near_offer(&near, cli_noun_at(i)->name);
    const char *program = reading->invocation->program;
    if (near.best != NULL)
        return error_set(reading->error, -EINVAL, "unknown command '%s', did you mean '%s'?", typed, near.best);
    return error_set(reading->error, -EINVAL, "unknown command '%s': `%s --help` lists all", typed, program);
}

static void offer_verbs(struct near *near, const char *noun)
{
    for (int i = 0; i < CLI_COMMAND_COUNT; i++) {
        const struct cli_command *command = cli_command_at((enum cli_command_id)i);
        if (strcmp(command->noun, noun) == 0 && command->verb != NULL)
            near_offer(near, command->verb);
    }
}

static int missing_verb(const struct reading *reading, const char *typed)
{
    const struct invocation *invocation = reading->invocation;
    const char *noun = invocation->noun->name;
    if (typed == NULL)
        return error_set(reading->error, -EINVAL, "what shall %s do? `%s %s --help` lists its commands", noun,
                         invocation->program, noun);
    const bool flag = strncmp(typed, "--", 2) == 0;
    struct near near;
    near_init(&near, flag ? typed + 2 : typed);
    offer_verbs(&near, noun);
    if (near.best != NULL)
        return error_set(reading->error, -EINVAL, "unknown command '%s %s', did you mean '%s %s%s'?", noun, typed, noun,
                         flag ? "--" : "", near.best);
    return error_set(reading->error, -EINVAL, "unknown command '%s %s': `%s %s --help` lists its commands", noun, typed,
                     invocation->program, noun);
}

static int unknown_option(const struct reading *reading, const char *name)
{
    const struct invocation *invocation = reading->invocation;
    const struct cli_command *command = invocation->command;
    struct near near;
    near_init(&near, name);
    for (int i = 0; i < CLI_OPTION_COUNT; i++)
        if (cli_command_takes(command, (enum cli_option)i))
            near_offer(&near, cli_option_text((enum cli_option)i)->name);
    if (near.best != NULL)
        return error_set(reading->error, -EINVAL, "unknown option '--%s', did you mean '--%s'?", name, near.best);
    return error_set(reading->error, -EINVAL, "unknown option '--%s': `%s %s%s%s --help` lists its options", name,
                     invocation->program, command->noun, command->verb != NULL ? " --" : "",
                     command->verb != NULL ? command->verb : "");
}

/* Finds the noun; what stands before it are options of every command. Returns 0 also when there is none. */
static int find_noun(struct reading *reading)
{
    struct invocation *invocation = reading->invocation;
    for (int i = 1; i < reading->argc; i++) {
        const char *token = reading->argv[i];
        if (strcmp(token, "help") == 0 || strcmp(token, "-h") == 0) {
            invocation->help = true;
        } else if (strcmp(token, "--version") == 0) {
            reading->noun_at = i;
            invocation->noun = cli_noun_find("version");
            return 0;
        } else if (token[0] == '-') {
            i += takes_next_token(token) ? 1 : 0;
        } else {
            reading->noun_at = i;
            invocation->noun = cli_noun_find(token);
            return invocation->noun != NULL ? 0 : unknown_noun(reading, token);
        }
    }
    return 0;
}

/* Finds the verb: a flag anywhere behind the noun, else the first word. */
static int find_verb(struct reading *reading)
{
    struct invocation *invocation = reading->invocation;
    const char *noun = invocation->noun->name;
    const char *strange = NULL;
    invocation->command = cli_command_find(noun, NULL);
    if (invocation->command != NULL)
        return 0;
    int word_at = 0;
    for (int i = reading->noun_at + 1; i < reading->argc && strcmp(reading->argv[i], "--") != 0; i++) {
        const char *token = reading->argv[i];
        char name[WORD_BYTES];
        if (!option_name(token, name)) {
            word_at = word_at == 0 ? i : word_at;
            continue;
        }
        const struct cli_command *command = cli_command_find(noun, name);
        if (command != NULL && invocation->command != NULL)
            return error_set(reading->error, -EINVAL, "--%s and --%s exclude each other", invocation->command->verb,
                             name);
        if (command != NULL) {
            invocation->command = command;
            reading->verb_at = i;
        } else if (find_option(name, NULL) < 0) {
            strange = token;
        }
        i += takes_next_token(token) ? 1 : 0;
    }
    if (invocation->command != NULL)
        return 0;
    if (word_at != 0)
        invocation->command = cli_command_find(noun, reading->argv[word_at]);
    reading->verb_at = word_at;
    if (invocation->command != NULL || invocation->help)
        return 0;
    return missing_verb(reading, strange != NULL ? strange : word_at != 0 ? reading->argv[word_at] : NULL);
}

static bool is_choice(const char *choices, const char *value)
{
    const size_t length = strlen(value);
    for (const char *at = choices; length > 0; at++) {
        const size_t choice = strcspn(at, "|");
        if (choice == length && strncmp(at, value, length) == 0)
            return true;
        at += choice;
        if (*at == '\0')
            break;
    }
    return false;
}

static bool is_number(const char *value)
{
    if (value[0] == '\0' || strlen(value) > 10 || value[strspn(value, "0123456789")] != '\0')
        return false;
    return strtoull(value, NULL, 10) <= NUMBER_MAX;
}

static int check_value(const struct reading *reading, const struct cli_option_text *option, const char *value)
{
    int64_t duration_ms = 0;
    switch (option->kind) {
    case CLI_OPTION_SWITCH:
    case CLI_OPTION_TEXT:
        return 0;
    case CLI_OPTION_NUMBER:
        return is_number(value)
                   ? 0
                   : error_set(reading->error, -EINVAL, "--%s needs a number, got '%s'", option->name, value);
    case CLI_OPTION_DURATION:
        return command_line_duration(value, &duration_ms) == 0
                   ? 0
                   : error_set(reading->error, -EINVAL, "--%s needs a time such as 250ms, 30s or 15m, got '%s'",
                               option->name, value);
    case CLI_OPTION_CHOICE:
        return is_choice(option->value, value) ? 0
                                               : error_set(reading->error, -EINVAL, "--%s is one of %s, got '%s'",
                                                           option->name, option->value, value);
    }
    return -EINVAL;
}

/* Takes the option at argv[*position], and its value. */
static int take_option(struct reading *reading, int *position)
{
    struct invocation *invocation = reading->invocation;
    const char *token = reading->argv[*position];
    char name[WORD_BYTES];
    (void)option_name(token, name);
    const int found = find_option(name, invocation->command);
    if (found < 0)
        return unknown_option(reading, name);
    const struct cli_option_text *option = cli_option_text((enum cli_option)found);
    if (!cli_command_takes(invocation->command, (enum cli_option)found))
        return error_set(reading->error, -EINVAL, "%s%s%s takes no --%s: `%s %s --help` lists its options",
                         invocation->command->noun, invocation->command->verb != NULL ? " --" : "",
                         invocation->command->verb != NULL ? invocation->command->verb : "", name, invocation->program,
                         invocation->command->noun);
    if (invocation->values[found] != NULL)
        return error_set(reading->error, -EINVAL, "--%s is given twice", name);
    const char *value = strchr(token, '=');
    if (option->kind == CLI_OPTION_SWITCH) {
        if (value != NULL)
            return error_set(reading->error, -EINVAL, "--%s takes no value", name);
        invocation->values[found] = "";
        return 0;
    }
    if (value != NULL) {
        value++;
    } else {
        if (*position + 1 >= reading->argc || strncmp(reading->argv[*position + 1], "--", 2) == 0)
            return error_set(reading->error, -EINVAL, "--%s needs a value (%s)", name, option->value);
        value = reading->argv[++*position];
    }
    invocation->values[found] = value;
    return check_value(reading, option, value);
}

/* Takes a positional argument, and the `=value` of a verb that is a flag. */
static int take_argument(struct reading *reading, const char *argument)
{
    struct invocation *invocation = reading->invocation;
    const struct cli_command *command = invocation->command;
    if (invocation->argument_count < cli_command_arguments_max(command)) {
        invocation->arguments[invocation->argument_count++] = argument;
        return 0;
    }
    if (command->argument == NULL)
        return error_set(reading->error, -EINVAL, "'%s' is superfluous: for example `%s %s`", argument,
                         invocation->program, command->example);
    return error_set(reading->error, -EINVAL, "'%s' is superfluous: %s takes one %s", argument, command->noun,
                     command->argument);
}

static int take_rest(struct reading *reading)
{
    bool options_end = false;
    for (int i = 1; i < reading->argc; i++) {
        const char *token = reading->argv[i];
        const char *equals = strchr(token, '=');
        int result = 0;
        if (i == reading->verb_at && strncmp(token, "--", 2) == 0 && equals != NULL)
            result = take_argument(reading, equals + 1);
        else if (i == reading->verb_at || i == reading->noun_at || (i < reading->noun_at && strcmp(token, "help") == 0))
            continue;
        else if (!options_end && strcmp(token, "--") == 0)
            options_end = true;
        else if (!options_end && strncmp(token, "--", 2) == 0)
            result = take_option(reading, &i);
        else if (!options_end && token[0] == '-' && token[1] != '\0')
            result = unknown_option(reading, token + 1);
        else
            result = take_argument(reading, token);
        if (result != 0)
            return result;
    }
    return 0;
}

static int check_complete(const struct reading *reading)
{
    const struct invocation *invocation = reading->invocation;
    const struct cli_command *command = invocation->command;
    for (int i = 0; i < CLI_OPTION_COUNT; i++)
        if ((command->required >> i & 1) != 0 && invocation->values[i] == NULL)
            return error_set(reading->error, -EINVAL, "--%s is missing: for example `%s %s`",
                             cli_option_text((enum cli_option)i)->name, invocation->program, command->example);
    if (invocation->argument_count < command->arguments_min)
        return error_set(reading->error, -EINVAL, "%s is missing: for example `%s %s`", command->argument,
                         invocation->program, command->example);
    return 0;
}

static const char *program_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return strcmp(slash != NULL ? slash + 1 : path, "refinery") == 0 ? "refinery" : "gemel";
}

/* Help and JSON are wanted even when the rest is wrong. */
static void find_help_and_json(struct reading *reading)
{
    for (int i = 1; i < reading->argc && strcmp(reading->argv[i], "--") != 0; i++) {
        const char *token = reading->argv[i];
        const bool last = i + 1 >= reading->argc;
        if (strcmp(token, "--help") == 0 || strcmp(token, "-h") == 0)
            reading->invocation->help = true;
        if (strcmp(token, "--output=json") == 0 ||
            (strcmp(token, "--output") == 0 && !last && strcmp(reading->argv[i + 1], "json") == 0))
            reading->invocation->json = true;
    }
}

int invocation_parse(int argc, char *const *argv, struct invocation *invocation, struct error *error)
{
    *invocation = (struct invocation){.program = argc > 0 ? program_name(argv[0]) : "gemel"};
    struct reading reading = {.argc = argc, .argv = argv, .invocation = invocation, .error = error};
    find_help_and_json(&reading);
    int result = find_noun(&reading);
    if (result != 0)
        return result;
    if (invocation->noun == NULL) {
        if (invocation->help)
            return 0;
        return error_set(error, -EINVAL, "what shall be done? `%s --help` lists all commands", invocation->program);
    }
    result = find_verb(&reading);
    if (result != 0 || invocation->help)
        return result;
    result = take_rest(&reading);
    return result != 0 ? result : check_complete(&reading);
}

bool invocation_has(const struct invocation *invocation, enum cli_option option)
{
    return invocation->values[option] != NULL;
}

const char *invocation_text(const struct invocation *invocation, enum cli_option option, const char *fallback)
{
    return invocation->values[option] != NULL ? invocation->values[option] : fallback;
}

uint32_t invocation_number(const struct invocation *invocation, enum cli_option option, uint32_t fallback)
{
    ASSERT(cli_option_text(option)->kind == CLI_OPTION_NUMBER);
    const char *value = invocation->values[option];
    return value != NULL ? (uint32_t)strtoul(value, NULL, 10) : fallback;
}

int64_t invocation_duration_ms(const struct invocation *invocation, enum cli_option option, int64_t fallback_ms)
{
    ASSERT(cli_option_text(option)->kind == CLI_OPTION_DURATION);
    int64_t duration_ms = fallback_ms;
    if (invocation->values[option] != NULL)
        (void)command_line_duration(invocation->values[option], &duration_ms);
    return duration_ms;
}

int command_line_duration(const char *text, int64_t *duration_ms)
{
    int64_t ns = 0;
    if (scalar_duration(text, UNIT_S, &ns) != 0 || ns / NS_PER_MS > (int64_t)DURATION_DAYS_MAX * MS_PER_DAY)
        return -EINVAL;
    *duration_ms = ns / NS_PER_MS;
    return 0;
}
