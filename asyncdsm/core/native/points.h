/* The points of an edge by the hash of their parent: a hash table with open addressing. It does not own the points. */
#ifndef ASYNCDSM_POINTS_H
#define ASYNCDSM_POINTS_H

#include <stdint.h>
#include <stdlib.h>

typedef struct {
    uint64_t parent;
    void *point; /* NULL marks a free place */
} PointPlace;

typedef struct {
    PointPlace *places;
    uint32_t used, capacity; /* capacity: a power of two, or 0 */
} PointTable;

static inline uint32_t points_home(const PointTable *table, uint64_t parent)
{
    return (uint32_t)(parent * 0x9E3779B97F4A7C15u >> 32) & (table->capacity - 1);
}

/* Returns the place of a parent, or the free place where it belongs. The table must not be empty. */
static inline PointPlace *points_place(const PointTable *table, uint64_t parent)
{
    uint32_t place = points_home(table, parent);
    while (table->places[place].point && table->places[place].parent != parent)
        place = (place + 1) & (table->capacity - 1);
    return &table->places[place];
}

/* Returns the point of a parent, or NULL. */
static inline void *points_find(const PointTable *table, uint64_t parent)
{
    return table->capacity ? points_place(table, parent)->point : NULL;
}

/* Adds a point whose parent has none yet. Returns 0 if there is no memory. */
static int points_add(PointTable *table, uint64_t parent, void *point)
{
    if (4 * (table->used + 1) > 3 * table->capacity) {
        PointTable grown = {NULL, table->used, table->capacity ? 2 * table->capacity : 4};
        grown.places = calloc(grown.capacity, sizeof(PointPlace));
        if (!grown.places)
            return 0;
        for (uint32_t i = 0; i < table->capacity; i++)
            if (table->places[i].point)
                *points_place(&grown, table->places[i].parent) = table->places[i];
        free(table->places);
        *table = grown;
    }
    PointPlace *place = points_place(table, parent);
    place->parent = parent;
    place->point = point;
    table->used++;
    return 1;
}

/* Removes a point, if it is there. Those after it move up, so that no search ends before its goal. */
static void points_remove(PointTable *table, uint64_t parent, const void *point)
{
    if (!table->capacity || points_place(table, parent)->point != point)
        return;
    uint32_t mask = table->capacity - 1;
    uint32_t hole = (uint32_t)(points_place(table, parent) - table->places);
    for (uint32_t next = (hole + 1) & mask; table->places[next].point; next = (next + 1) & mask) {
        uint32_t home = points_home(table, table->places[next].parent);
        if (((next - home) & mask) >= ((next - hole) & mask)) {
            table->places[hole] = table->places[next];
            hole = next;
        }
    }
    table->places[hole].point = NULL;
    table->used--;
}

static void points_clear(PointTable *table)
{
    free(table->places);
    table->places = NULL;
    table->used = table->capacity = 0;
}

#endif
