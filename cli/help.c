#include "cli/help.h"

#include <stdio.h>
#include <string.h>

enum {
    COLUMN = 32,      /* where the explanation of an option or command begins */
    LABEL_BYTES = 128 /* of an option or command with its value */
};

static void print_line(struct text *text, const char *label, const char *help)
{
    text_printf(text, "  %-*s  %s\n", COLUMN, label, help);
}

/* `--start PIPELINE`, `--status [NAME]`, or the noun when that is the command. */
static void command_label(const struct cli_command *command, char label[LABEL_BYTES])
{
    char argument[LABEL_BYTES / 2] = "";
    if (command->argument != NULL)
        (void)snprintf(argument, sizeof argument, command->arguments_min == 0 ? " [%s]" : " %s", command->argument);
    if (command->verb != NULL)
        (void)snprintf(label, LABEL_BYTES, "--%s%s", command->verb, argument);
    else
        (void)snprintf(label, LABEL_BYTES, "%s%s", command->noun, argument);
}

static void print_option(struct text *text, enum cli_option id, const char *mark)
{
    const struct cli_option_text *option = cli_option_text(id);
    char label[LABEL_BYTES];
    (void)snprintf(label, sizeof label, "--%s%s%s", option->name, option->value[0] != '\0' ? " " : "", option->value);
    text_printf(text, "  %-*s  %s%s\n", COLUMN, label, option->help, mark);
}

static void print_everywhere(struct text *text)
{
    text_append_string(text, "\nWith every command:\n");
    print_option(text, CLI_OPTION_HOME, "");
    print_option(text, CLI_OPTION_OUTPUT, "");
    print_option(text, CLI_OPTION_HELP, "");
}

static void print_all(const char *program, struct text *text)
{
    text_printf(text,
                "%s: two hosts run the same pipelines, and no query is lost when one of them fails.\n\n"
                "usage: %s COMMAND [--VERB] [ARGUMENT] [OPTIONS]        `%s COMMAND --help` tells more\n\nCommands:\n",
                program, program, program);
    for (size_t i = 0; i < cli_noun_count(); i++)
        print_line(text, cli_noun_at(i)->name, cli_noun_at(i)->help);
    print_everywhere(text);
    text_append_string(text, "\nExit codes:\n");
    for (unsigned code = CLI_EXIT_DONE; code <= CLI_EXIT_REFUSED; code++)
        text_printf(text, "  %u  %s\n", code, cli_exit_meaning((enum cli_exit)code));
    text_printf(text, "\nExample:\n  %s %s\n", program, cli_command_at(CLI_PIPELINE_START)->example);
}

static void print_noun(const char *program, const struct cli_noun *noun, struct text *text)
{
    text_printf(text, "%s %s: %s\n\n", program, noun->name, noun->help);
    const struct cli_command *first = NULL;
    for (int i = 0; i < CLI_COMMAND_COUNT; i++) {
        const struct cli_command *command = cli_command_at((enum cli_command_id)i);
        if (strcmp(command->noun, noun->name) != 0)
            continue;
        char label[LABEL_BYTES];
        command_label(command, label);
        print_line(text, label, command->help);
        first = first == NULL ? command : first;
    }
    text_printf(text, "\n`%s %s %s --help` tells more about one of them; `%s %s` and `%s --%s` are the same.\n",
                program, noun->name, first->verb, noun->name, first->verb, noun->name, first->verb);
    print_everywhere(text);
    text_printf(text, "\nExample:\n  %s %s\n", program, first->example);
}

static void print_command(const char *program, const struct cli_command *command, struct text *text)
{
    char label[LABEL_BYTES];
    command_label(command, label);
    if (command->verb != NULL)
        text_printf(text, "usage: %s %s %s%s\n\n", program, command->noun, label,
                    command->options != 0 ? " [OPTIONS]" : "");
    else
        text_printf(text, "usage: %s %s%s\n\n", program, label, command->options != 0 ? " [OPTIONS]" : "");
    text_printf(text, "%s.\n", command->help);
    if (command->details != NULL)
        text_printf(text, "%s\n", command->details);
    if (command->options != 0)
        text_append_string(text, "\nOptions:\n");
    for (int i = 0; i < CLI_OPTION_COUNT; i++)
        if ((command->options >> i & 1) != 0)
            print_option(text, (enum cli_option)i, (command->required >> i & 1) != 0 ? " (required)" : "");
    print_everywhere(text);
    text_append_string(text, "\nExit codes:\n");
    for (unsigned code = CLI_EXIT_DONE; code <= CLI_EXIT_REFUSED; code++)
        if ((command->exits >> code & 1) != 0)
            text_printf(text, "  %u  %s\n", code, cli_exit_meaning((enum cli_exit)code));
    text_printf(text, "\nExample:\n  %s %s\n", program, command->example);
}

void help_print(const struct invocation *invocation, struct text *text)
{
    if (invocation->command != NULL)
        print_command(invocation->program, invocation->command, text);
    else if (invocation->noun != NULL)
        print_noun(invocation->program, invocation->noun, text);
    else
        print_all(invocation->program, text);
}
