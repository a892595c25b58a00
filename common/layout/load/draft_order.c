#include "common/layout/load/draft_order.h"

#include <string.h>

#include "common/base/memory.h"
#include "common/layout/model/near.h"

/* Both orders are found alike: nodes whose needs are done are done, until nothing changes; what is left holds a cycle.
 * `needs` is a matrix: needs[a * count + b] says that a needs b. */
struct order {
    size_t count;
    bool *needs;
    unsigned *levels; /* of the done ones */
    bool *done;
};

static void order_init(struct order *order, size_t count)
{
    order->count = count;
    order->needs = memory_alloc(count * count * sizeof *order->needs);
    order->levels = memory_alloc(count * sizeof *order->levels);
    order->done = memory_alloc(count * sizeof *order->done);
}

static void order_fini(struct order *order)
{
    memory_free(order->needs);
    memory_free(order->levels);
    memory_free(order->done);
}

/* Is everything that `node` needs done in an earlier pass? */
static bool is_free(const struct order *order, size_t node, unsigned pass)
{
    for (size_t i = 0; i < order->count; i++)
        if (order->needs[node * order->count + i] && (!order->done[i] || order->levels[i] >= pass))
            return false;
    return true;
}

/* Returns false when something is left. */
static bool order_solve(struct order *order)
{
    size_t done_count = 0;
    size_t before = 1;
    for (unsigned pass = 0; done_count < order->count && before > 0; pass++) {
        before = 0;
        for (size_t i = 0; i < order->count; i++) {
            if (order->done[i] || !is_free(order, i, pass))
                continue;
            order->done[i] = true;
            order->levels[i] = pass;
            before++;
        }
        done_count += before;
    }
    return done_count == order->count;
}

/* A node that is left and that `node` needs: there is one, since `node` is left. */
static size_t next_left(const struct order *order, size_t node)
{
    for (size_t i = 0; i < order->count; i++)
        if (order->needs[node * order->count + i] && !order->done[i])
            return i;
    return node;
}

/* A node that is in a cycle: after `count` steps through what is left one must be. */
static size_t find_cycle(const struct order *order)
{
    size_t node = 0;
    while (order->done[node])
        node++;
    for (size_t i = 0; i < order->count; i++)
        node = next_left(order, node);
    return node;
}

typedef const char *(*name_at)(const void *owner, size_t position);

/* Prints `a -> b -> a`. */
static void print_cycle(const struct order *order, size_t start, const void *owner, name_at name, struct text *text)
{
    size_t node = start;
    do {
        text_printf(text, "%s -> ", name(owner, node));
        node = next_left(order, node);
    } while (node != start);
    text_append_string(text, name(owner, start));
}

/* ---- types ---- */

/* When a built-in type starts; 0: no order by itself. */
static unsigned rank_of(enum layout_builtin builtin)
{
    switch (builtin) {
    case BUILTIN_TP:
        return 1;
    case BUILTIN_RDB:
    case BUILTIN_IPDB:
        return 2;
    case BUILTIN_IDB:
    case BUILTIN_EPDB:
    case BUILTIN_HDB:
        return 3;
    case BUILTIN_GW:
        return 4;
    case BUILTIN_NONE:
    case BUILTIN_SOURCE:
    case BUILTIN_SINK:
        break;
    }
    return 0;
}

static size_t find_type(const struct draft_pipeline *draft, const char *name)
{
    size_t i = 0;
    while (i < draft->type_count && strcmp(draft->types[i].name.text, name) != 0)
        i++;
    return i;
}

/* A built-in type needs all types of the nearest rank below its own that the pipeline has. */
static void add_builtin_needs(const struct draft_pipeline *draft, struct order *order, size_t node)
{
    unsigned rank = rank_of(draft->types[node].builtin);
    unsigned below = 0;
    for (size_t i = 0; i < draft->type_count; i++) {
        unsigned other = rank_of(draft->types[i].builtin);
        if (other < rank && other > below)
            below = other;
    }
    for (size_t i = 0; i < draft->type_count && below > 0; i++)
        if (rank_of(draft->types[i].builtin) == below)
            order->needs[node * order->count + i] = true;
}

static void keep_order(struct reader *reader, struct draft_pipeline *draft, const struct order *order)
{
    for (size_t i = 0; i < draft->type_count; i++) {
        struct layout_type *type = &draft->types[i];
        type->level = order->levels[i];
        type->requirements = arena_alloc(reader->arena, (draft->type_count + 1) * sizeof *type->requirements);
        for (size_t j = 0; j < draft->type_count; j++)
            if (order->needs[i * order->count + j])
                type->requirements[type->requirement_count++] = &draft->types[j];
    }
}

static const char *type_name(const void *owner, size_t position)
{
    return ((const struct draft_pipeline *)owner)->types[position].name.text;
}

/* Every cycle goes through a depends-on, because the built-in order has none. */
static void refuse_type_cycle(struct reader *reader, const struct draft_pipeline *draft, const struct order *order)
{
    size_t node = find_cycle(order);
    struct text text;
    text_init(&text, ERROR_SENTENCE_BYTES / 2);
    while (draft->types[node].depends_on.count == 0)
        node = next_left(order, node);
    print_cycle(order, node, draft, type_name, &text);
    reader_refuse_at(reader, draft->types[node].depends_on.place, "types depend on each other in a circle, got '%s'",
                     text.data);
    text_fini(&text);
}

void draft_order_types(struct reader *reader, struct draft_pipeline *draft)
{
    struct order order;
    order_init(&order, draft->type_count);
    for (size_t i = 0; i < draft->type_count; i++) {
        add_builtin_needs(draft, &order, i);
        for (size_t j = 0; j < draft->types[i].depends_on.count; j++) {
            size_t other = find_type(draft, draft->types[i].depends_on.items[j].text);
            if (other < draft->type_count)
                order.needs[i * order.count + other] = true;
        }
    }
    if (order_solve(&order))
        keep_order(reader, draft, &order);
    else
        refuse_type_cycle(reader, draft, &order);
    order_fini(&order);
}

/* ---- tasks ---- */

static const char *task_name(const void *owner, size_t position)
{
    return ((const struct layout_workflow *)owner)->tasks[position].name.text;
}

static void add_needs(struct reader *reader, const struct layout_workflow *workflow, struct order *order, size_t node)
{
    const struct layout_texts *needs = &workflow->tasks[node].needs;
    for (size_t i = 0; i < needs->count; i++) {
        struct near near;
        char hint[NEAR_HINT_BYTES];
        bool found = false;
        near_init(&near, needs->items[i].text);
        for (size_t j = 0; j < workflow->task_count; j++) {
            near_offer(&near, workflow->tasks[j].name.text);
            if (strcmp(workflow->tasks[j].name.text, needs->items[i].text) != 0)
                continue;
            order->needs[node * order->count + j] = true;
            found = true;
        }
        if (!found)
            reader_refuse_at(reader, needs->items[i].place, "unknown task of the workflow%s, got '%s'",
                             near_hint(&near, hint), needs->items[i].text);
    }
}

void draft_order_tasks(struct reader *reader, const struct layout_workflow *workflow)
{
    struct order order;
    order_init(&order, workflow->task_count);
    for (size_t i = 0; i < workflow->task_count; i++)
        add_needs(reader, workflow, &order, i);
    if (!order_solve(&order)) {
        size_t node = find_cycle(&order);
        struct text text;
        text_init(&text, ERROR_SENTENCE_BYTES / 2);
        print_cycle(&order, node, workflow, task_name, &text);
        reader_refuse_at(reader, workflow->tasks[node].needs.place, "tasks need each other in a circle, got '%s'",
                         text.data);
        text_fini(&text);
    }
    order_fini(&order);
}
