// What a pull could cost at least: makes files of given sizes in given directories, and does nothing else.
//
//     cc -O2 -pthread -o make_files bench/make_files.c
//     find TREE -mindepth 2 -type f -printf '%P\t%s\n' | LC_ALL=C sort | ./make_files NEW_DIRECTORY THREADS
//
// Every file is one level deep, as in the benchmark's made trees. Prints the seconds.

#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 2000000 };

struct file {
    char *name;
    size_t size;
};

static struct file files[MOST];
static int first_file[MOST], directories[MOST], directory_count, next_directory;
static char *content;

static void *make(void *unused) {
    const struct timespec times[2] = {{1, 0}, {1, 0}};
    int directory;
    while ((directory = __sync_fetch_and_add(&next_directory, 1)) < directory_count) {
        for (int i = first_file[directory]; i < first_file[directory + 1]; i++) {
            int fd = openat(directories[directory], files[i].name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
            if (fd < 0 || write(fd, content, files[i].size) != (ssize_t)files[i].size) exit(1);
            futimens(fd, times);
            close(fd);
        }
    }
    return unused;
}

int main(int count, char **arguments) {
    char line[8192], last[4096] = "";
    size_t largest = 1;
    int file_count = 0;
    if (count != 3 || mkdir(arguments[1], 0755)) return perror("a new directory and a number of threads"), 2;
    int root = open(arguments[1], O_RDONLY);
    while (file_count < MOST && fgets(line, sizeof line, stdin)) {
        char *directory = strtok(line, "/"), *name = strtok(NULL, "\t"), *size = strtok(NULL, "\n");
        if (!size) return 2;
        if (strcmp(directory, last)) {
            strcpy(last, directory);
            mkdirat(root, directory, 0755);
            first_file[directory_count] = file_count;
            directories[directory_count++] = openat(root, directory, O_RDONLY | O_DIRECTORY);
        }
        files[file_count++] = (struct file){strdup(name), strtoull(size, NULL, 10)};
        if (files[file_count - 1].size > largest) largest = files[file_count - 1].size;
    }
    first_file[directory_count] = file_count;
    content = malloc(largest);
    memset(content, 'x', largest);
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    pthread_t threads[64];
    int thread_count = atoi(arguments[2]);
    for (int i = 0; i < thread_count; i++) pthread_create(&threads[i], NULL, make, NULL);
    for (int i = 0; i < thread_count; i++) pthread_join(threads[i], NULL);
    clock_gettime(CLOCK_MONOTONIC, &to);
    printf("%.3f\n", (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9);
    return 0;
}
