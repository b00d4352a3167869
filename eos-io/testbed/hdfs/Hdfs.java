import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.concurrent.Executors;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.hadoop.hdfs.HdfsConfiguration;
import org.apache.hadoop.hdfs.MiniDFSCluster;
import org.apache.hadoop.security.UserGroupInformation;

/**
 * A name node and data nodes in one process, and an HTTP server through which tests see and change the files whatever
 * authentication the file system asks for: PUT, GET and DELETE of /files/PATH, POST of /stop-data-node/INDEX.
 *
 * <p>Arguments: a directory for the data, a file with the configuration, and the file to write the ports into.
 */
public class Hdfs {
    public static void main(String[] args) throws Exception {
        Configuration conf = new HdfsConfiguration();
        conf.addResource(new Path(args[1]));
        UserGroupInformation.setConfiguration(conf);
        if (UserGroupInformation.isSecurityEnabled()) {
            UserGroupInformation.loginUserFromKeytab(
                    conf.get("dfs.namenode.kerberos.principal"), conf.get("dfs.namenode.keytab.file"));
        }
        MiniDFSCluster cluster = new MiniDFSCluster.Builder(conf, new java.io.File(args[0]))
                .numDataNodes(conf.getInt("testbed.data.nodes", 1))
                .build();
        cluster.waitActive();
        FileSystem files = cluster.getFileSystem();
        // Whoever the client is may write.
        files.setPermission(new Path("/"), new FsPermission((short) 0777));

        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.createContext("/files/", exchange -> answer(exchange, () -> {
            Path path = new Path(exchange.getRequestURI().getPath().substring("/files".length()));
            switch (exchange.getRequestMethod()) {
                case "PUT" -> {
                    try (InputStream body = exchange.getRequestBody(); OutputStream file = files.create(path, true)) {
                        body.transferTo(file);
                    }
                    return new byte[0];
                }
                case "DELETE" -> {
                    files.delete(path, true);
                    return new byte[0];
                }
                default -> {
                    try (InputStream file = files.open(path)) {
                        return file.readAllBytes();
                    }
                }
            }
        }));
        server.createContext("/stop-data-node/", exchange -> answer(exchange, () -> {
            String index = exchange.getRequestURI().getPath().substring("/stop-data-node/".length());
            cluster.stopDataNode(Integer.parseInt(index));
            return new byte[0];
        }));
        server.setExecutor(Executors.newCachedThreadPool());
        server.start();

        java.nio.file.Path ports = java.nio.file.Path.of(args[2]);
        java.nio.file.Path written = ports.resolveSibling("ports.new");
        String line = cluster.getNameNodePort() + " " + server.getAddress().getPort() + " "
                + cluster.getNameNode().getHttpAddress().getPort();
        Files.writeString(written, line);
        Files.move(written, ports);
        System.out.println("the file system is ready");
    }

    private interface Work {
        byte[] run() throws Exception;
    }

    private static void answer(HttpExchange exchange, Work work) throws java.io.IOException {
        int status = 200;
        byte[] body;
        try {
            body = work.run();
        } catch (Exception error) {
            status = error instanceof java.io.FileNotFoundException ? 404 : 500;
            body = error.toString().getBytes(StandardCharsets.UTF_8);
        }
        exchange.sendResponseHeaders(status, body.length == 0 ? -1 : body.length);
        exchange.getResponseBody().write(body);
        exchange.close();
    }
}
