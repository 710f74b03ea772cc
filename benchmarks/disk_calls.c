/* Watches the calls with which a process changes the files of one folder.
 *
 * Loaded before the C library (LD_PRELOAD), so it sees Python's calls and SQLite's. It counts them, writes each
 * that succeeded to a log, and can kill the process before one, let one (or all from one on) fail, or skip
 * flushing. `disk_calls.py` loads it and reads the log.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { SKIP_FILES = 1, SKIP_FOLDERS = 2, TORN = 4, STICKY = 8, SOCKETS = 16 };

struct entry {
    uint64_t inode, offset;
    uint32_t first, second; /* lengths of what follows */
    char name;
} __attribute__((packed));

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_MAX];
static int log_fd = -1, fail_errno, flags;
static long count, kill_at, fail_at;

void disk_watch(const char *folder, int log_to, long kill_before, long fail_from, int error, int with_flags)
{
    pthread_mutex_lock(&mutex);
    snprintf(root, sizeof root, "%s", folder);
    log_fd = log_to, kill_at = kill_before, fail_at = fail_from, fail_errno = error, flags = with_flags;
    count = 0;
    pthread_mutex_unlock(&mutex);
}

/* Let nothing fail any more; go on counting and logging. */
void disk_mend(void) { fail_at = 0; }

long disk_count(void) { return count; }

static int within(const char *path)
{
    size_t length = strlen(root), own = strlen(path);
    if (!length || strncmp(path, root, length) || (path[length] && path[length] != '/'))
        return 0;
    return own < 4 || strcmp(path + own - 4, "-shm"); /* SQLite makes it again */
}

static int path_of(int fd, char *path)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return within(path);
}

static int resolve(int folder, const char *name, char *path)
{
    char start[PATH_MAX] = "";
    if (name[0] != '/') {
        if (folder == AT_FDCWD) {
            if (!getcwd(start, sizeof start))
                return 0;
        } else
            path_of(folder, start);
    }
    snprintf(path, PATH_MAX, "%s%s%s", start, *start ? "/" : "", name);
    return within(path);
}

static uint64_t inode_of(int fd)
{
    struct stat found;
    return fstat(fd, &found) ? 0 : found.st_ino;
}

static void note(char name, uint64_t inode, uint64_t offset, const void *first, size_t first_size,
                 const void *second, size_t second_size)
{
    if (log_fd < 0)
        return;
    struct entry head = {inode, offset, first_size, second_size, name};
    struct iovec parts[] = {{&head, sizeof head}, {(void *)first, first_size}, {(void *)second, second_size}};
    syscall(SYS_writev, log_fd, parts, 3);
}

/* Count a call. Returns 1 if it must fail. The mutex is held until `leave`. */
static int enter(void)
{
    pthread_mutex_lock(&mutex);
    count++;
    if (kill_at && count == kill_at && !(flags & TORN))
        syscall(SYS_kill, getpid(), SIGKILL);
    if (fail_at && (count == fail_at || (count > fail_at && flags & STICKY))) {
        errno = fail_errno;
        return 1;
    }
    return 0;
}

static void leave(void)
{
    int kept = errno;
    if (kill_at && count == kill_at) /* TORN: in the middle of a write, after anything else */
        syscall(SYS_kill, getpid(), SIGKILL);
    pthread_mutex_unlock(&mutex);
    errno = kept;
}

#define REAL(name) static __typeof__(&name) real; if (!real) real = dlsym(RTLD_NEXT, #name)
#define FAILED (-1)

static size_t cut(size_t size) { return kill_at && count == kill_at && flags & TORN ? size / 2 : size; }

#define WRITING(fd, size, at, data, call, whole)                                                                    \
    do {                                                                                                            \
        char path[PATH_MAX];                                                                                        \
        if (!*root || !path_of(fd, path))                                                                           \
            return whole;                                                                                           \
        ssize_t done = FAILED;                                                                                      \
        if (!enter()) {                                                                                             \
            uint64_t offset = at;                                                                                   \
            done = call;                                                                                            \
            if (done >= 0)                                                                                          \
                note('W', inode_of(fd), offset, path, strlen(path), data, done);                                    \
        }                                                                                                           \
        leave();                                                                                                    \
        return done;                                                                                                \
    } while (0)

ssize_t write(int fd, const void *data, size_t size)
{
    REAL(write);
    WRITING(fd, size, lseek(fd, 0, SEEK_CUR), data, real(fd, data, cut(size)), real(fd, data, size));
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{
    REAL(pwrite);
    WRITING(fd, size, at, data, real(fd, data, cut(size), at), real(fd, data, size, at));
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at)
{
    REAL(pwrite64);
    WRITING(fd, size, at, data, real(fd, data, cut(size), at), real(fd, data, size, at));
}

static int flush(int fd, int (*real)(int))
{
    char path[PATH_MAX];
    if (!*root || !path_of(fd, path))
        return real(fd);
    struct stat found;
    int done = fstat(fd, &found), is_folder = S_ISDIR(found.st_mode);
    if (enter())
        done = FAILED;
    else if (!(flags & (is_folder ? SKIP_FOLDERS : SKIP_FILES))) {
        done = real(fd);
        if (!done)
            note(is_folder ? 'D' : 'S', found.st_ino, 0, path, strlen(path), "", 0);
    }
    leave();
    return done;
}

int fsync(int fd) { REAL(fsync); return flush(fd, real); }
int fdatasync(int fd) { REAL(fdatasync); return flush(fd, real); }

#define TRUNCATING(fd, size)                                                                                        \
    do {                                                                                                            \
        char path[PATH_MAX];                                                                                        \
        if (!*root || !path_of(fd, path))                                                                           \
            return real(fd, size);                                                                                  \
        int done = enter() ? FAILED : real(fd, size);                                                               \
        if (!done)                                                                                                  \
            note('T', inode_of(fd), size, path, strlen(path), "", 0);                                               \
        leave();                                                                                                    \
        return done;                                                                                                \
    } while (0)

int ftruncate(int fd, off_t size) { REAL(ftruncate); TRUNCATING(fd, size); }
int ftruncate64(int fd, off64_t size) { REAL(ftruncate64); TRUNCATING(fd, size); }

static int opening(int folder, const char *name, int how, mode_t mode, int (*real)(int, const char *, int, ...))
{
    char path[PATH_MAX];
    struct stat found;
    if (!*root || !(how & (O_CREAT | O_TRUNC)) || !resolve(folder, name, path))
        return real(folder, name, how, mode);
    int is_new = lstat(path, &found);
    if (!is_new && !(how & O_TRUNC))
        return real(folder, name, how, mode);
    int fd = enter() ? FAILED : real(folder, name, how, mode);
    if (fd >= 0)
        note(is_new ? 'C' : 'T', inode_of(fd), 0, path, strlen(path), "", 0);
    leave();
    return fd;
}

static mode_t mode_in(int how, va_list *arguments)
{
    return how & (O_CREAT | O_TMPFILE) ? va_arg(*arguments, mode_t) : 0;
}

#define OPENING(folder)                                                                                             \
    do {                                                                                                            \
        static int (*real)(int, const char *, int, ...);                                                            \
        if (!real)                                                                                                  \
            real = dlsym(RTLD_NEXT, "openat64");                                                                    \
        va_list arguments;                                                                                          \
        va_start(arguments, how);                                                                                   \
        mode_t mode = mode_in(how, &arguments);                                                                     \
        va_end(arguments);                                                                                          \
        return opening(folder, name, how, mode, real);                                                              \
    } while (0)

int open(const char *name, int how, ...) { OPENING(AT_FDCWD); }
int open64(const char *name, int how, ...) { OPENING(AT_FDCWD); }
int openat(int folder, const char *name, int how, ...) { OPENING(folder); }
int openat64(int folder, const char *name, int how, ...) { OPENING(folder); }

#define ON_ONE(letter, folder, name, call)                                                                          \
    do {                                                                                                            \
        char path[PATH_MAX];                                                                                        \
        if (!*root || !resolve(folder, name, path))                                                                 \
            return call;                                                                                            \
        int done = enter() ? FAILED : call;                                                                         \
        if (!done)                                                                                                  \
            note(letter, 0, 0, path, strlen(path), "", 0);                                                          \
        leave();                                                                                                    \
        return done;                                                                                                \
    } while (0)

int unlink(const char *name) { REAL(unlink); ON_ONE('U', AT_FDCWD, name, real(name)); }
int remove(const char *name) { REAL(remove); ON_ONE('U', AT_FDCWD, name, real(name)); }
int rmdir(const char *name) { REAL(rmdir); ON_ONE('U', AT_FDCWD, name, real(name)); }
int unlinkat(int folder, const char *name, int how) { REAL(unlinkat); ON_ONE('U', folder, name, real(folder, name, how)); }
int mkdir(const char *name, mode_t mode) { REAL(mkdir); ON_ONE('M', AT_FDCWD, name, real(name, mode)); }
int mkdirat(int folder, const char *name, mode_t mode) { REAL(mkdirat); ON_ONE('M', folder, name, real(folder, name, mode)); }

#define ON_TWO(letter, from_folder, from, to_folder, to, call)                                                      \
    do {                                                                                                            \
        char path[PATH_MAX], other[PATH_MAX];                                                                       \
        if (!*root || !resolve(from_folder, from, path) || !resolve(to_folder, to, other))                          \
            return call;                                                                                            \
        int done = enter() ? FAILED : call;                                                                         \
        if (!done)                                                                                                  \
            note(letter, 0, 0, path, strlen(path), other, strlen(other));                                           \
        leave();                                                                                                    \
        return done;                                                                                                \
    } while (0)

int rename(const char *from, const char *to) { REAL(rename); ON_TWO('R', AT_FDCWD, from, AT_FDCWD, to, real(from, to)); }
int link(const char *from, const char *to) { REAL(link); ON_TWO('L', AT_FDCWD, from, AT_FDCWD, to, real(from, to)); }

int renameat(int from_folder, const char *from, int to_folder, const char *to)
{
    REAL(renameat);
    ON_TWO('R', from_folder, from, to_folder, to, real(from_folder, from, to_folder, to));
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int how)
{
    REAL(linkat);
    ON_TWO('L', from_folder, from, to_folder, to, real(from_folder, from, to_folder, to, how));
}

/* What goes to a database's server. */
ssize_t send(int fd, const void *data, size_t size, int how)
{
    REAL(send);
    if (!*root || !(flags & SOCKETS))
        return real(fd, data, size, how);
    ssize_t done = enter() ? FAILED : real(fd, data, size, how);
    leave();
    return done;
}

ssize_t recv(int fd, void *data, size_t size, int how)
{
    REAL(recv);
    if (!*root || !(flags & SOCKETS))
        return real(fd, data, size, how);
    ssize_t done = enter() ? FAILED : real(fd, data, size, how);
    leave();
    return done;
}
