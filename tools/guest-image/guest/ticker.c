/*
 * The ticker of the Linux guest: one line every 10 ms on the console, `tick N uptime S.mmm`.
 *
 * N counts lines, so consecutive lines differ by exactly one. The sleep is absolute: the work of a tick does not shift the next
 * one. Ticks that were missed while the guest stood still are skipped, not printed in a burst.
 *
 * Two parameters of the kernel's command line:
 *   vmferry.fill=MIB    fill this much memory with incompressible content; each line then ends with `memory OK` or `memory BAD`
 *   vmferry.dirty=MIB   rewrite this much of it every second, after checking what was there
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { TICK_NS = 10000000, TICKS_PER_SECOND = 100, PAGE_BYTES = 4096, PAGE_WORDS = PAGE_BYTES / 8, PAGES_PER_MIB = 256 };

static uint64_t *memory;
static uint32_t *generation;
static long pages;

static long parameter(const char *name)
{
    static char line[4096];
    FILE *file = fopen("/proc/cmdline", "r");
    if (file == NULL || fgets(line, sizeof line, file) == NULL) return 0;
    fclose(file);
    const char *found = strstr(line, name);
    return found == NULL ? 0 : strtol(found + strlen(name), NULL, 10);
}

/* xorshift64, seeded by the page and its generation, so that a stale or misplaced page differs. */
static uint64_t first_word(long page)
{
    return ((uint64_t)(page + 1) << 32 | (generation[page] + 1)) * 0x9e3779b97f4a7c15u;
}

static uint64_t next_word(uint64_t word)
{
    word ^= word << 13;
    word ^= word >> 7;
    return word ^ word << 17;
}

static void write_page(long page)
{
    uint64_t word = first_word(page);
    for (int i = 0; i < PAGE_WORDS; i++) memory[page * PAGE_WORDS + i] = word = next_word(word);
}

static int page_is_right(long page)
{
    uint64_t word = first_word(page);
    for (int i = 0; i < PAGE_WORDS; i++)
        if (memory[page * PAGE_WORDS + i] != (word = next_word(word))) return 0;
    return 1;
}

static int fill(void)
{
    pages = parameter("vmferry.fill=") * PAGES_PER_MIB;
    if (pages == 0) return 1;
    memory = mmap(NULL, (size_t)pages * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    generation = calloc((size_t)pages, sizeof *generation);
    if (memory == MAP_FAILED || generation == NULL) return 0;
    for (long page = 0; page < pages; page++) write_page(page);
    return 1;
}

/* Checks and rewrites what is due in one tick; without a rate it only checks, one page a tick. */
static int walk(long dirty_pages)
{
    static long page;
    int right = 1;
    for (long i = 0; i < (dirty_pages > 0 ? dirty_pages : 1); i++) {
        right &= page_is_right(page);
        if (dirty_pages > 0) {
            generation[page]++;
            write_page(page);
        }
        page = (page + 1) % pages;
    }
    return right;
}

static void until_next_tick(struct timespec *next)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    do {
        next->tv_nsec += TICK_NS;
        if (next->tv_nsec >= 1000000000) {
            next->tv_nsec -= 1000000000;
            next->tv_sec++;
        }
    } while (next->tv_sec < now.tv_sec || (next->tv_sec == now.tv_sec && next->tv_nsec <= now.tv_nsec));
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, next, NULL) != 0) continue;
}

int main(void)
{
    if (!fill()) {
        puts("vmferry: there is not enough memory for vmferry.fill");
        return 1;
    }
    long dirty_pages = pages > 0 ? parameter("vmferry.dirty=") * PAGES_PER_MIB / TICKS_PER_SECOND : 0;
    int right = 1;
    struct timespec next, now;
    clock_gettime(CLOCK_MONOTONIC, &next);
    for (unsigned long tick = 1;; tick++) {
        until_next_tick(&next);
        if (pages > 0) right &= walk(dirty_pages);
        clock_gettime(CLOCK_MONOTONIC, &now);
        printf("tick %lu uptime %lld.%03ld%s\n", tick, (long long)now.tv_sec, now.tv_nsec / 1000000,
               pages == 0 ? "" : right ? " memory OK" : " memory BAD");
        fflush(stdout);
    }
}
