/* libs: gemel_net */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/net/keys.h"
#include "tests/unit/testing.h"

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/gemel-keys-XXXXXX");
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        execlp("rm", "rm", "-rf", folder, (char *)NULL);
        _exit(127);
    }
    return waitpid(pid, NULL, 0) == pid ? 0 : -1;
}

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_text(const char *name, mode_t mode, const char *text)
{
    int fd = open(path_of(name), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void create(const char *name, enum key_role role)
{
    struct error error;
    assert_int_equal(keys_create_pair(folder, name, role, &error), 0);
}

static void test_a_pair_that_was_made_is_found_by_name_and_by_public_key(void **state)
{
    (void)state;
    create("bbb.host.com", KEY_ROLE_NODE);
    create("127.0.0.1", KEY_ROLE_NODE);
    create("operator", KEY_ROLE_ADMIN);
    assert_int_equal(unlink(path_of("bbb.host.com.key")), 0);
    struct keys *keys = NULL;
    struct error error;
    assert_int_equal(keys_load(&keys, folder, &error), 0);
    assert_int_equal(keys_count(keys), 3);
    assert_string_equal(keys_at(keys, 0)->name, "127.0.0.1");
    assert_string_equal(keys_folder(keys), folder);
    const struct key *key = keys_find(keys, "operator");
    assert_non_null(key);
    assert_int_equal(key->role, KEY_ROLE_ADMIN);
    assert_int_equal(strlen(key->secret_text), 40);
    assert_ptr_equal(keys_find_public(keys, key->public_text), key);
    assert_string_equal(keys_find(keys, "bbb.host.com")->secret_text, "");
    assert_null(keys_find(keys, "ccc"));
    keys_destroy(&keys);
    assert_null(keys);
}

static void test_a_secret_is_private_and_a_pair_is_not_overwritten(void **state)
{
    (void)state;
    create("aaa", KEY_ROLE_NODE);
    struct stat found;
    assert_int_equal(stat(path_of("aaa.key"), &found), 0);
    assert_int_equal(found.st_mode & 0777, 0600);
    struct error error;
    assert_int_equal(keys_create_pair(folder, "aaa", KEY_ROLE_NODE, &error), -EEXIST);
    assert_int_equal(unlink(path_of("aaa.key")), 0);
    assert_int_equal(keys_create_pair(folder, "aaa", KEY_ROLE_NODE, &error), -EEXIST);
    assert_int_equal(access(path_of("aaa.key"), F_OK), -1);
}

static void test_names_that_leave_the_folder_are_refused(void **state)
{
    (void)state;
    struct error error;
    const char *bad[] = {"", "../x", "a/b", ".hidden", "-x", "a b", "a\n"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(keys_create_pair(folder, bad[i], KEY_ROLE_NODE, &error), -EINVAL);
}

static void test_a_missing_or_empty_folder_says_how_to_make_keys(void **state)
{
    (void)state;
    struct keys *keys = NULL;
    struct error error;
    assert_int_equal(keys_load(&keys, "/nowhere/keys", &error), -ENOENT);
    assert_non_null(strstr(error.sentence, "gemel keys --create"));
    assert_int_equal(keys_load(&keys, folder, &error), -ENOENT);
    assert_null(keys);
}

static void test_an_open_secret_is_refused(void **state)
{
    (void)state;
    create("aaa", KEY_ROLE_NODE);
    assert_int_equal(chmod(path_of("aaa.key"), 0640), 0);
    struct keys *keys = NULL;
    struct error error;
    assert_int_equal(keys_load(&keys, folder, &error), -EACCES);
    assert_non_null(strstr(error.sentence, "chmod 600"));
}

static void test_damaged_files_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *content;
        unsigned line;
    } bad[] = {
        {"name = x\nrole = king\n", 2},
        {"name = x\nrole = node\npublic = short\n", 3},
        {"# comment\n\nrubbish\n", 3},
        {"name = x\nrole = node\n", 0},
        {"name = y\nrole = node\npublic = rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7\n", 0},
        {"", 0},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        write_text("x.pub", 0644, bad[i].content);
        struct keys *keys = NULL;
        struct error error = {0};
        assert_int_equal(keys_load(&keys, folder, &error), -EINVAL);
        assert_string_equal(error.file, path_of("x.pub"));
        assert_int_equal(error.line, bad[i].line);
    }
}

static void test_a_secret_of_another_key_and_one_key_with_two_names_are_refused(void **state)
{
    (void)state;
    create("aaa", KEY_ROLE_NODE);
    create("bbb", KEY_ROLE_NODE);
    struct keys *keys = NULL;
    struct error error;
    assert_int_equal(keys_load(&keys, folder, &error), 0);
    char text[256];
    snprintf(text, sizeof text, "name = aaa\nrole = node\npublic = %s\nsecret = %s\n",
             keys_find(keys, "aaa")->public_text, keys_find(keys, "bbb")->secret_text);
    write_text("aaa.key", 0600, text);
    struct keys *again = NULL;
    assert_int_equal(keys_load(&again, folder, &error), -EINVAL);
    assert_non_null(strstr(error.sentence, "does not belong"));
    assert_int_equal(unlink(path_of("aaa.key")), 0);
    snprintf(text, sizeof text, "name = ccc\nrole = admin\npublic = %s\n", keys_find(keys, "bbb")->public_text);
    write_text("ccc.pub", 0644, text);
    assert_int_equal(keys_load(&again, folder, &error), -EINVAL);
    assert_non_null(strstr(error.sentence, "the same key"));
    keys_destroy(&keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_pair_that_was_made_is_found_by_name_and_by_public_key, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(test_a_secret_is_private_and_a_pair_is_not_overwritten, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(test_names_that_leave_the_folder_are_refused, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_a_missing_or_empty_folder_says_how_to_make_keys, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(test_an_open_secret_is_refused, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_damaged_files_are_named, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_a_secret_of_another_key_and_one_key_with_two_names_are_refused,
                                        make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
