/* keys: the CURVE keys of the cluster, in one folder of this home. */
#include <errno.h>

#include "cli/commands.h"

#define OPERATOR_KEY "operator"

/* Makes one pair unless it is there, and adds its row. Returns false when it could not be made. */
static bool create_pair(struct cli *cli, Gemel__Table *table, const char *name, enum key_role role)
{
    char folder[HOME_PATH_BYTES];
    struct error error = {0};
    site_keys_folder(&cli->site, folder);
    const int result = keys_create_pair(folder, name, role, &error);
    if (result != 0 && result != -EEXIST) {
        (void)report_fail(&cli->report, CLI_EXIT_FAILED, "%s", error.sentence);
        return false;
    }
    report_row(&cli->report, table, (const char *[]){name, key_role_name(role), result == 0 ? "made" : "kept"});
    return true;
}

static void create_keys(struct cli *cli)
{
    const struct settings *settings = &cli->site.settings;
    const char *name = invocation_text(cli->invocation, CLI_OPTION_NAME, NULL);
    char folder[HOME_PATH_BYTES];
    site_keys_folder(&cli->site, folder);
    Gemel__Table *table = report_table(&cli->report, "keys", NULL, (const char *[]){"name", "role", "state", NULL});
    if (name != NULL) {
        enum key_role role = KEY_ROLE_NODE;
        (void)key_role_parse(invocation_text(cli->invocation, CLI_OPTION_ROLE, "node"), &role);
        (void)create_pair(cli, table, name, role);
        return;
    }
    for (size_t i = 0; i < settings->host_count; i++)
        if (!create_pair(cli, table, settings->hosts[i], KEY_ROLE_NODE))
            return;
    if (create_pair(cli, table, OPERATOR_KEY, KEY_ROLE_ADMIN))
        report_message(&cli->report, "keys in %s: copy this folder to the other host by a safe way", folder);
}

static void show_keys(struct cli *cli)
{
    struct error error = {0};
    if (site_load_keys(&cli->site, &error) != 0) {
        (void)report_fail(&cli->report, CLI_EXIT_FAILED, "%s", error.sentence);
        return;
    }
    Gemel__Table *table =
        report_table(&cli->report, "keys", NULL, (const char *[]){"name", "role", "public", "secretHere", NULL});
    for (size_t i = 0; i < keys_count(cli->site.keys); i++) {
        const struct key *key = keys_at(cli->site.keys, i);
        report_row(&cli->report, table,
                   (const char *[]){key->name, key_role_name(key->role), key->public_text,
                                    key->secret_text[0] != '\0' ? "yes" : "no"});
    }
}

void command_keys(struct cli *cli)
{
    if (cli_command_id(cli->invocation->command) == CLI_KEYS_CREATE)
        create_keys(cli);
    else
        show_keys(cli);
}
