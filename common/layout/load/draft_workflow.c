/* Reads workflows/NAME.yaml. */
#include <string.h>

#include "common/base/assert.h"
#include "common/layout/load/draft.h"

#define TASK(field)     offsetof(struct layout_task, field)
#define WORKFLOW(field) offsetof(struct layout_workflow, field)

enum {
    TASKS_MAX = 200 /* of one workflow */
};

static const char *const environments[] = {"", "A", "B", NULL};

static void read_environment(struct reader *reader, const struct tree_node *node, void *target)
{
    struct layout_workflow *workflow = target;
    for (int i = LAYOUT_ENVIRONMENT_A; environments[i] != NULL; i++)
        if (node->kind == TREE_SCALAR && strcmp(node->text, environments[i]) == 0) {
            workflow->environment.value = i;
            workflow->environment.place = reader_place(reader, node->line, node->column);
            return;
        }
    reader_refuse(reader, node, "'environment' wants A or B");
}

static const struct schema_key task_keys[] = {
    {"name", SCHEMA_NAME, TASK(name), .max = PIPELINE_NAME_BYTES, .required = true},
    {"command", SCHEMA_TEXTS, TASK(command)},
    {"pipeline", SCHEMA_TEXT, TASK(pipeline)},
    {"instance", SCHEMA_INTEGER, TASK(instance), 0, INSTANCES_MAX - 1},
    {"process", SCHEMA_TEXT, TASK(process)},
    {"needs", SCHEMA_TEXTS, TASK(needs)},
    {"approve", SCHEMA_FLAG, TASK(approve)},
    {"on-failure", SCHEMA_TEXT, TASK(on_failure)},
};
static const struct schema task_schema = {"a task", task_keys, COUNT_OF(task_keys)};

static void read_task(struct reader *reader, const struct tree_node *node, struct layout_task *task)
{
    *task = (struct layout_task){.instance.value = -1};
    schema_read(reader, &task_schema, NULL, node, task, NULL);
    int kinds = (task->command.count > 0) + (task->pipeline.text != NULL) + (task->process.text != NULL);
    if (task->name.text != NULL && kinds != 1)
        reader_refuse_at(reader, task->name.place, "a task wants one of 'command', 'pipeline' and 'process', got '%s'",
                         task->name.text);
}

static void read_tasks(struct reader *reader, const struct tree_node *node, void *target)
{
    struct layout_workflow *workflow = target;
    if (node->kind != TREE_LIST || node->count == 0 || node->count > TASKS_MAX) {
        reader_refuse(reader, node, "'tasks' wants a list of 1 to 200 tasks");
        return;
    }
    struct layout_task *tasks = arena_alloc(reader->arena, node->count * sizeof *tasks);
    size_t count = 0;
    for (size_t i = 0; i < node->count; i++) {
        struct layout_task task;
        read_task(reader, node->entries[i].value, &task);
        for (size_t j = 0; task.name.text != NULL && j < count; j++)
            if (strcmp(tasks[j].name.text, task.name.text) == 0)
                reader_refuse_at(reader, task.name.place, "the task was given before, in line %u, got '%s'",
                                 tasks[j].name.place.line, task.name.text);
        if (task.name.text != NULL)
            tasks[count++] = task;
    }
    workflow->tasks = tasks;
    workflow->task_count = count;
}

static const struct schema_key workflow_keys[] = {
    {"name", SCHEMA_NAME, WORKFLOW(name), .max = PIPELINE_NAME_BYTES, .required = true},
    {"environment", SCHEMA_SUB, 0, .read = read_environment},
    {"tasks", SCHEMA_SUB, 0, .read = read_tasks, .required = true},
};
static const struct schema workflow_schema = {"a workflow", workflow_keys, COUNT_OF(workflow_keys)};

void draft_read_workflow(struct reader *reader, const struct tree_node *node, struct layout_workflow *workflow)
{
    *workflow = (struct layout_workflow){0};
    schema_read(reader, &workflow_schema, NULL, node, workflow, NULL);
}
